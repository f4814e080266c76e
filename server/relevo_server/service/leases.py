"""Leases on this server: one question to the store for all who wait for the same one."""

import asyncio
import secrets
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple

from relevo_server import errors
from relevo_server.deadline import earliest_wait
from relevo_server.errors import StoreError
from relevo_server.event_log.followers import Followers
from relevo_server.keys import Key
from relevo_server.logs import log, where
from relevo_server.storage.interface import LeaseAttempt, Leased, Storage
from relevo_server.wire.requests import Lease

_SHORTEST_WAIT = 0.01
"""Seconds after which a lease that should have ended is asked for again."""


class _Name(NamedTuple):
    """What a lease is wanted for."""

    key: Key
    renewed: int


class _Waiter(NamedTuple):
    request_id: str
    answer: asyncio.Future[Leased]


class _Line:
    """Those who wait for one lease, in the order in which they came."""

    def __init__(self, until: float) -> None:
        self._waiters: deque[_Waiter] = deque()
        self.changed = asyncio.Event()
        """The store is to be asked again, or nobody waits any more."""
        self.until = until
        """When the lease that they wait for ends, by the loop's time."""

    def join(self, waiter: _Waiter) -> None:
        """Wait behind the others."""
        self._waiters.append(waiter)

    def first(self) -> _Waiter | None:
        """The first of those who still wait."""
        while self._waiters and self._waiters[0].answer.done():
            self._waiters.popleft()
        return self._waiters[0] if self._waiters else None

    def give(self, leased: Leased) -> bool:
        """Give a lease to the first, an entry to all. False where nobody waits any more."""
        first = self.first()
        if first is None:
            return False
        for waiter in (first,) if leased.token else self._waiters:
            if not waiter.answer.done():
                waiter.answer.set_result(leased)
        return True

    def fail(self, error: StoreError) -> None:
        """Tell everyone that there will be no answer."""
        for waiter in self._waiters:
            if not waiter.answer.done():
                waiter.answer.set_exception(error)
        self.changed.set()


class Leases:
    """Asks for entries, or the right to write them, which lasts `ttl` seconds."""

    def __init__(self, storage: Storage, followers: Followers, ttl: float) -> None:
        self._storage = storage
        self._followers = followers
        self._ttl_ms = round(ttl * 1000)
        self._lines: dict[_Name, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def stop(self) -> None:
        """Let nobody wait any more."""
        self._is_stopping = True
        for line in self._lines.values():
            line.fail(errors.stopping())

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, lease: Lease) -> Leased:
        """The entry, unless it is the one to renew; else the right to write it.

        Raises ABORTED where another caller still has that right once the wait is over, or
        at the call's end. What comes when the caller has gone is given back.
        """
        key, seconds, renewed, request_id = lease
        name = _Name(key, renewed)
        held = 0.0  # for so many seconds another has the lease; a line knows it
        if name not in self._lines or not seconds:
            wanted = self._wanted(name, request_id)
            try:
                leased = await self._storage.lease(wanted)
            except asyncio.CancelledError:
                self._give_back(key, wanted.token)
                raise
            if leased.entry or leased.token:
                return leased
            held = leased.ttl_ms / 1000
            if not seconds:
                raise errors.lease_held(key, held)
        return await self._wait(name, request_id, seconds, held)

    async def _wait(self, name: _Name, request_id: str, seconds: float, held: float) -> Leased:
        if self._is_stopping:
            raise errors.stopping()
        loop = asyncio.get_running_loop()
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(loop.time() + held)
            self._start(self._serve(name, line))
        answer: asyncio.Future[Leased] = loop.create_future()
        line.join(_Waiter(request_id, answer))
        try:
            until = earliest_wait(loop.time() + seconds)
            await asyncio.wait([answer], timeout=max(0.0, until - loop.time()))
        except asyncio.CancelledError:
            # The answer may have come in the same moment.
            if not answer.cancel() and answer.exception() is None:
                self._give_back(name.key, answer.result().token)
            line.changed.set()
            raise
        if answer.cancel():
            line.changed.set()
            raise errors.lease_held(name.key, max(0.0, line.until - loop.time()))
        return answer.result()

    async def _serve(self, name: _Name, line: _Line) -> None:
        """Ask for those in a line, whenever there may be news, until nobody waits any more."""
        try:
            await self._followers.notice(name.key, line.changed)
            while waiter := line.first():
                line.changed.clear()
                leased = await self._storage.lease(self._wanted(name, waiter.request_id))
                if not (leased.entry or leased.token):
                    seconds = max(_SHORTEST_WAIT, leased.ttl_ms / 1000)
                    line.until = asyncio.get_running_loop().time() + seconds
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await line.changed.wait()
                elif not line.give(leased):
                    self._give_back(name.key, leased.token)
        except StoreError as error:
            line.fail(error)
        except Exception as error:  # noqa: BLE001 - typed for those who wait
            log.error("lease.failed", where=where(error))
            line.fail(errors.internal())
        finally:
            # Who comes from now on begins another line.
            del self._lines[name]
            await self._followers.ignore(name.key, line.changed)

    def _wanted(self, name: _Name, request_id: str) -> LeaseAttempt:
        token = secrets.token_urlsafe(16)
        return LeaseAttempt(name.key, token, self._ttl_ms, name.renewed, request_id)

    def _give_back(self, key: Key, token: str) -> None:
        """End a lease that nobody knows of, if there is one; else it ends with its time."""

        async def release() -> None:
            with suppress(StoreError):
                await self._storage.release(key, token)

        if token:
            self._start(release())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # In a context of its own: no call's deadline is its.
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
