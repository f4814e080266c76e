"""The near cache's asyncio driver: one task that keeps a Watch stream open."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from dataclasses import replace
from typing import Any

from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.riders import Rider
from relevo_client._near_cache import contexts, steady
from relevo_client._near_cache.identity import client_info
from relevo_client._near_cache.options import CacheOptions
from relevo_client._near_cache.riding import RiderCache
from relevo_client._near_cache.signs import Pace
from relevo_client._near_cache.stream_rules import Backoff, Contact, slice_pause
from relevo_client._telemetry.caches import CACHES
from relevo_client._telemetry.calls import entries_in, record_sizes
from relevo_client._telemetry.counts import CacheCounts, CacheFigures


class AsyncWatcher:
    """Keeps a near cache current by a Watch stream.

    The first lookup starts it, in the event loop of that lookup. `renewed_scopes` are the scopes
    that have loaders, whose entries are reported as ageing. `watch` opens a stream.
    """

    def __init__(
        self,
        options: CacheOptions,
        watch: Callable[[], Awaitable[Any]],
        contact: Contact,
        renewed_scopes: AbstractSet[str],
    ) -> None:
        self._contact = contact
        self._options = options
        self._watch = watch
        self._renewed_scopes = renewed_scopes
        self._cache = RiderCache(options, renewed_scopes=renewed_scopes)
        self.ageing: Sequence[tuple[ContextKey, int]] = self._cache.ageing
        """The ageing entries in use, as keys and versions."""
        self._requests_waiting = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        CACHES.add(self, self._cache.counts)

    @property
    def counts(self) -> CacheCounts:
        """A copy of the cache's counters."""
        return replace(self._cache.counts)

    def figures(self) -> CacheFigures | None:
        """The present state of the cache; None once it is closed."""
        return None if self._is_closed else self._cache.figures(steady.now())

    def age(self, key: ContextKey) -> float | None:
        """The seconds since the copy of a key was last proven current; None if unknown."""
        return self._cache.age(key, steady.now())

    def record_miss(self, ref: ContextRef) -> bool:
        """Count a miss. Returns whether a server may answer from its memory."""
        self._cache.counts.misses += 1
        return self._cache.allows_cached_read(ref.key, ref.revision)

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The composed entry of a reference from the cache, or None if the store must be asked.

        Raises NotFoundError if the cache knows that there is no live entry.
        """
        if self._task is None:
            self._begin()
        cache, now = self._cache, steady.now()
        try:
            found = contexts.resolve(cache, ref, now)
        finally:
            if cache.asked == now:
                self._wake()
        if found is not None:
            cache.counts.hits += 1
        return found

    def entry(self, key: ContextKey, fence: int = 0) -> ContextEntry | None:
        """The live entry from the cache as it was put, or None if the store must be asked."""
        self._begin()
        found = contexts.entry(self._cache, key, fence, steady.now())
        self._wake()
        return found

    def accept_rider(self, rider: Rider, *, keep: bool) -> bool:
        """Whether a call may use the verified rider that came with it, and keep it if so."""
        self._begin()
        is_accepted = self._cache.accept_rider(rider, steady.now(), keep=keep)
        self._wake()
        return is_accepted

    def cached_composition(
        self, key: ContextKey, versions: tuple[int, ...], signature: str
    ) -> ContextEntry | None:
        """The cache's composition of exactly these versions: the entry's, then its layers'."""
        return contexts.cached_composition(self._cache, key, versions, steady.now(), signature)

    def pop_ageing(self) -> Sequence[tuple[ContextKey, int]]:
        """Remove and return the ageing entries in use, as keys and versions, to be renewed."""
        return self._cache.pop_ageing()

    def record_write(self, tenant_id: str, revision: int) -> None:
        """Record an own write: no older copy of the tenant's entries may be used from now on."""
        self._cache.record_write(tenant_id, revision, steady.now())

    def _begin(self) -> None:
        if self._task is None and not self._is_closed:
            # In an empty context: the first caller's context must not be current in the task.
            self._task = asyncio.create_task(self._run(), context=Context(), name="relevo-watch")

    def _wake(self) -> None:
        if self._cache.has_requests:
            self._requests_waiting.set()

    def is_ending(self, key: ContextKey) -> bool:
        """Whether a cached entry has little time left to live."""
        return contexts.is_ending(self._cache, key, steady.now())

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The last known entry of a reference, marked as stale, or None if there is none."""
        return contexts.last_known(self._cache, ref, steady.now())

    def after_fork(self) -> None:
        """Forget everything and stay closed: the stream belongs to the parent of this process."""
        self._cache = RiderCache(self._options, renewed_scopes=self._renewed_scopes)
        self.ageing = self._cache.ageing
        self._task = None
        self._is_closed = True

    async def close(self) -> None:
        """End the stream, and wait for its task to end."""
        self._is_closed = True
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        backoff = Backoff(self._options.max_staleness)
        while True:
            begun, attempt, asked = time.monotonic(), self._contact.begin(), 0.0
            try:
                await self._stream(backoff.pace())
            except Exception as error:  # noqa: BLE001 - the contact logs each by its class
                asked = self._contact.stream_ended(attempt, error)
            finally:
                is_answered = self._cache.is_live
                self._cache.stream_ended()
            lasted = time.monotonic() - begun
            await asyncio.sleep(backoff.after(lasted, asked, is_answered=is_answered))

    async def _stream(self, pace: Pace) -> None:
        call = await self._watch()
        self._cache.opened(steady.now(), client_info(self._options), pace)
        self._requests_waiting.set()
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
            record_sizes(entries_in(message))
            if self._cache.received(message, steady.now()):
                self._contact.answered()
            self._wake()

    async def _write(self, call: Any) -> None:
        while True:
            await self._requests_waiting.wait()
            self._requests_waiting.clear()
            while requests := self._cache.requests():
                for request in requests:
                    if call.done():  # `write` would raise InvalidStateError, not the stream's error
                        await call.wait_for_connection()
                        return
                    await call.write(request)
                if self._cache.has_requests:
                    await asyncio.sleep(slice_pause())

    async def _ping(self, _: Any) -> None:
        """Send the pings that are due. Raises TimeoutError if the stream stays silent."""
        while True:
            await asyncio.sleep(self._options.ping_interval)
            now = steady.now()
            if self._cache.is_silent(now):
                raise TimeoutError  # the next stream may reach another server
            self._cache.tick(now)
            self._wake()
