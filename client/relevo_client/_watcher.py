"""The near cache's driver for asyncio: a Watch stream for as long as there is a client."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from grpc import aio

from relevo_client import _near_contexts
from relevo_client._errors import RelevoError, from_call
from relevo_client._keys import ContextKey, ContextRef
from relevo_client._messages import ContextEntry
from relevo_client._near_cache import NearCache
from relevo_client._near_state import CacheCounts

log = logging.getLogger("relevo_client")

_ENDED = "the watch of the store has ended: %s"
_PINGS = 8
"""How many pings are sent in the time for which copies are trusted."""
_SLICE = 200
"""Requests that are sent at once; a pause follows, so that a reconnect is no herd."""
_PAUSE = 0.02
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
"""Seconds before a stream is opened again; doubled each time, with jitter."""


@dataclass(frozen=True)
class CacheOptions:
    """How a client keeps contexts."""

    max_staleness: float = 2.0
    """Seconds for which a copy may be used after contact with the store was lost."""
    max_entries: int = 10_000
    """Entries that are kept; the least recently used go first."""
    max_bytes: int = 64 << 20
    """Their serialized size, together."""


class AsyncWatcher:
    """Keeps a near cache current. Begins with the first lookup, in that task's loop."""

    def __init__(
        self, options: CacheOptions, watch: Callable[[], Any], renewed_scopes: AbstractSet[str]
    ) -> None:
        self._options = options
        self._watch = watch
        self._cache = NearCache(
            max_staleness=options.max_staleness,
            max_entries=options.max_entries,
            max_bytes=options.max_bytes,
            renewed_scopes=renewed_scopes,
        )
        self._wanted = asyncio.Event()
        self._heard = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def counts(self) -> CacheCounts:
        """What the cache has done so far."""
        return self._cache.counts

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The context where it is known here; None where the store has to be asked.

        Raises NotFoundError and IncompleteContextError, where that is known here.
        """
        self._begin()
        try:
            found = _near_contexts.resolve(self._cache, ref, time.monotonic())
        finally:
            self._wake()
        if found is not None:
            self._cache.counts.hits += 1
        return found

    def entry(self, key: ContextKey) -> ContextEntry | None:
        """The live entry as it was put, where it is known here."""
        self._begin()
        found = _near_contexts.entry(self._cache, key, time.monotonic())
        self._wake()
        return found

    def ageing(self) -> Sequence[tuple[ContextKey, int]]:
        """Entries in use, with their versions, that are to be made anew; each once."""
        return self._cache.take_ageing() if self._cache.ageing else ()

    def wrote(self, tenant_id: str, revision: int) -> None:
        """Use no copy of the tenant's from before this write."""
        self._cache.wrote(tenant_id, revision)

    def _begin(self) -> None:
        if self._task is None:
            # In a context of its own: nothing of the first caller's is current in it.
            self._task = asyncio.create_task(self._run(), context=Context(), name="relevo-watch")

    def _wake(self) -> None:
        if self._cache.has_requests:
            self._wanted.set()

    async def close(self) -> None:
        """End the stream."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            begun = time.monotonic()
            try:
                await self._stream()
            except aio.AioRpcError as error:
                log.info(_ENDED, from_call(error).reason)
            except RelevoError as error:
                log.info(_ENDED, error.reason)
            except (TimeoutError, aio.UsageError) as error:
                log.info(_ENDED, type(error).__name__)
            except Exception:
                log.exception("the watch of the store failed")
            finally:
                self._cache.lost()
            if time.monotonic() - begun > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _stream(self) -> None:
        call = self._watch()
        self._heard = time.monotonic()
        self._cache.opened(self._heard)
        self._wanted.set()
        sides = [asyncio.create_task(side(call)) for side in (self._read, self._write, self._ping)]
        try:
            done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in done:
                side.result()
        finally:
            for side in sides:
                side.cancel()
            call.cancel()
            await asyncio.gather(*sides, return_exceptions=True)

    async def _read(self, call: Any) -> None:
        async for message in call:
            self._heard = time.monotonic()
            self._cache.received(message)
            self._wake()

    async def _write(self, call: Any) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for i, request in enumerate(self._cache.requests(), start=1):
                await call.write(request)
                if i % _SLICE == 0:
                    await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _ping(self, _: Any) -> None:
        """Ask for signs of life. Raises TimeoutError where none comes."""
        while True:
            await asyncio.sleep(self._options.max_staleness / _PINGS)
            now = time.monotonic()
            if now - self._heard > self._options.max_staleness:
                raise TimeoutError  # a silent peer: another one may be better
            self._cache.ping(now)
            self._wanted.set()
