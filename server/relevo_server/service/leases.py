"""Leases: the right to write an entry, which one caller has at a time.

All callers of this server that wait for the same lease share one queue, and one task asks the
store on their behalf.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple

from relevo_server import errors
from relevo_server.deadline import earliest_wait
from relevo_server.errors import Reason, StoreError
from relevo_server.event_log.followers import Followers
from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.logs import log, where
from relevo_server.service.shares import Shares
from relevo_server.storage import lease_tokens
from relevo_server.storage.interface import LeaseAttempt, Leased, Storage
from relevo_server.telemetry.counts import ENTRY, GRANTED, HELD, RELEASED, Counts
from relevo_server.wire.requests import Lease, Release

_SHORTEST_WAIT = 0.01
"""Seconds before the store is asked again for a lease that should have ended."""


class _Subject(NamedTuple):
    """The subject of a lease: an entry, and the version to renew (0: a missing entry)."""

    key: Key
    renew_version: int


@hides("request_id")
class _Waiter(NamedTuple):
    request_id: str
    result: asyncio.Future[Leased]


class _Queue:
    """The callers that wait for one lease, first come first served."""

    def __init__(self, until: float) -> None:
        self._waiters: deque[_Waiter] = deque()
        self.changed = asyncio.Event()
        """Set if the store has to be asked again, or if nobody waits any more."""
        self.until = until
        """The time of the loop at which the current lease ends."""

    def join(self, waiter: _Waiter) -> None:
        """Add a waiter at the end."""
        self._waiters.append(waiter)

    def first(self) -> _Waiter | None:
        """The first waiter that has no result yet, or None."""
        while self._waiters and self._waiters[0].result.done():
            self._waiters.popleft()
        return self._waiters[0] if self._waiters else None

    def resolve(self, leased: Leased) -> bool:
        """Give a lease to the first waiter, or an entry to all. False if nobody waits."""
        first = self.first()
        if first is None:
            return False
        for waiter in (first,) if leased.token else self._waiters:
            if not waiter.result.done():
                waiter.result.set_result(leased)
        return True

    def fail(self, error: StoreError) -> None:
        """End every wait with an error."""
        for waiter in self._waiters:
            if not waiter.result.done():
                waiter.result.set_exception(error)
        self.changed.set()


class Leases:
    """Grants leases, which last `ttl` seconds."""

    def __init__(
        self,
        storage: Storage,
        followers: Followers,
        ttl: float,
        counts: Counts,
        shares: Shares,
    ) -> None:
        self._storage = storage
        self._followers = followers
        self._ttl_ms = round(ttl * 1000)
        self._queues: dict[_Subject, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts = counts
        self._shares = shares
        self._is_stopping = False
        self.waiters = 0
        """The number of calls that wait for a lease."""

    def stop(self) -> None:
        """End every wait with UNAVAILABLE; new ones too."""
        self._is_stopping = True
        for queue in self._queues.values():
            queue.fail(errors.stopping())

    async def close(self) -> None:
        """Cancel the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def acquire(self, lease: Lease) -> Leased:
        """The live entry, unless it is the one to renew; else a lease on the key.

        Raises ABORTED if another caller still holds the lease when the wait is over, or shortly
        before the call's deadline, and RESOURCE_EXHAUSTED if too many calls of the tenant wait. A
        lease that arrives after the caller has gone is released.
        """
        try:
            leased = await self._acquire(lease)
        except StoreError as error:
            if error.reason is Reason.LEASE_HELD:
                self._counts.leases[HELD] += 1
            raise
        self._counts.leases[ENTRY if leased.entry else GRANTED] += 1
        return leased

    async def release(self, release: Release) -> None:
        """End a lease, if it is held."""
        await self._storage.release(release.key, release.token)
        self._counts.leases[RELEASED] += 1

    async def _acquire(self, lease: Lease) -> Leased:
        subject = _Subject(lease.key, lease.renew_version)
        held = 0.0  # seconds for which another caller holds the lease; a queue knows it
        if subject not in self._queues or not lease.wait:
            attempt = self._attempt(subject, lease.request_id)
            try:
                leased = await self._storage.lease(attempt)
            except asyncio.CancelledError:
                self._abandon(lease.key, attempt.token)
                raise
            if leased.entry or leased.token:
                return leased
            held = leased.ttl_ms / 1000
            if not lease.wait:
                raise errors.lease_held(lease.key, held)
        return await self._wait(subject, lease, held)

    async def _wait(self, subject: _Subject, lease: Lease, held: float) -> Leased:
        if self._is_stopping:
            raise errors.stopping()
        with self._shares.waiting(subject.key.tenant_id):
            return await self._wait_in_queue(subject, lease, held)

    async def _wait_in_queue(self, subject: _Subject, lease: Lease, held: float) -> Leased:
        loop = asyncio.get_running_loop()
        queue = self._queues.get(subject)
        if queue is None:
            queue = self._queues[subject] = _Queue(loop.time() + held)
            self._start(self._serve(subject, queue))
        result: asyncio.Future[Leased] = loop.create_future()
        queue.join(_Waiter(lease.request_id, result))
        self.waiters += 1
        try:
            until = earliest_wait(loop.time() + lease.wait)
            await asyncio.wait([result], timeout=max(0.0, until - loop.time()))
        except asyncio.CancelledError:
            # The result may have come in the same moment.
            if not result.cancel() and result.exception() is None:
                self._abandon(subject.key, result.result().token)
            queue.changed.set()
            raise
        finally:
            self.waiters -= 1
        if result.cancel():
            queue.changed.set()
            raise errors.lease_held(subject.key, max(0.0, queue.until - loop.time()))
        return result.result()

    async def _serve(self, subject: _Subject, queue: _Queue) -> None:
        """Ask the store for a queue's first waiter, after every change, until nobody waits."""
        try:
            await self._followers.notice(subject.key, queue.changed)
            while waiter := queue.first():
                queue.changed.clear()
                leased = await self._storage.lease(self._attempt(subject, waiter.request_id))
                if not (leased.entry or leased.token):
                    seconds = max(_SHORTEST_WAIT, leased.ttl_ms / 1000)
                    queue.until = asyncio.get_running_loop().time() + seconds
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await queue.changed.wait()
                elif not queue.resolve(leased):
                    self._abandon(subject.key, leased.token)
        except StoreError as error:
            queue.fail(error)
        except Exception as error:  # noqa: BLE001 - typed for the waiters
            log.error("lease.failed", where=where(error))
            queue.fail(errors.internal())
        finally:
            # Whoever comes from now on starts another queue.
            del self._queues[subject]
            await self._followers.ignore(subject.key, queue.changed)

    def _attempt(self, subject: _Subject, request_id: str) -> LeaseAttempt:
        token = lease_tokens.new_token()
        return LeaseAttempt(subject.key, token, self._ttl_ms, subject.renew_version, request_id)

    def _abandon(self, key: Key, token: str) -> None:
        """Release a lease that no caller knows of, if there is one; else it ends with its time."""

        async def release() -> None:
            with suppress(StoreError):
                await self._storage.release(key, token)

        if token:
            self._start(release())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # In an empty context: no call's deadline applies to it.
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
