"""The near cache's blocking driver: threads that keep a Watch stream open.

One thread opens streams and reads them. For each stream a second thread sends pings, and
cancels the stream if it stays silent: the first thread may be blocked in a read, and gRPC's
thread, which sends the requests, in a write.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from dataclasses import replace
from typing import Any

from relevo.v1.store_pb2 import WatchRequest

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

Watch = Callable[[Iterator[WatchRequest]], Any]
"""A function that opens a stream with these requests, and returns gRPC's call."""
_CLOSING = 1.0
"""Seconds for which `close` waits for the stream's threads."""


class _Stream:
    """The state of an open stream that its three threads share."""

    def __init__(self) -> None:
        self.is_over = False
        self.is_silent = False


class Watcher:
    """Keeps a near cache current by a Watch stream, for any number of threads.

    The first lookup starts it. `renewed_scopes` are the scopes that have loaders, whose entries
    are reported as ageing. `watch` opens a stream.
    """

    def __init__(
        self,
        options: CacheOptions,
        watch: Watch,
        contact: Contact,
        renewed_scopes: AbstractSet[str],
    ) -> None:
        self._contact = contact
        self._options = options
        self._watch = watch
        self._renewed_scopes = renewed_scopes
        self._begin()
        CACHES.add(self, self._cache.counts)

    def _begin(self) -> None:
        self._cache = RiderCache(self._options, renewed_scopes=self._renewed_scopes)
        self.ageing: Sequence[tuple[ContextKey, int]] = self._cache.ageing
        """The ageing entries in use, as keys and versions."""
        # Guards every use of the cache. Reentrant: garbage collection may call `end` during one.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def counts(self) -> CacheCounts:
        """A copy of the cache's counters."""
        with self._lock:
            return replace(self._cache.counts)

    def figures(self) -> CacheFigures | None:
        """The present state of the cache; None once it is closed."""
        with self._lock:
            return None if self._is_closed else self._cache.figures(steady.now())

    def age(self, key: ContextKey) -> float | None:
        """The seconds since the copy of a key was last proven current; None if unknown."""
        with self._lock:
            return self._cache.age(key, steady.now())

    def record_miss(self, ref: ContextRef) -> bool:
        """Count a miss. Returns whether a server may answer from its memory."""
        with self._lock:
            self._cache.counts.misses += 1
            return self._cache.allows_cached_read(ref.key, ref.revision)

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The composed entry of a reference from the cache, or None if the store must be asked.

        Raises NotFoundError if the cache knows that there is no live entry.
        """
        cache = self._cache
        with self._lock:
            if self._thread is None:
                self._start()
            now = steady.now()
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
        with self._lock:
            self._start()
            found = contexts.entry(self._cache, key, fence, steady.now())
            self._wake()
            return found

    def accept_rider(self, rider: Rider, *, keep: bool) -> bool:
        """Whether a call may use the verified rider that came with it, and keep it if so."""
        with self._lock:
            self._start()
            is_accepted = self._cache.accept_rider(rider, steady.now(), keep=keep)
            self._wake()
            return is_accepted

    def cached_composition(
        self, key: ContextKey, versions: tuple[int, ...], signature: str
    ) -> ContextEntry | None:
        """The cache's composition of exactly these versions: the entry's, then its layers'."""
        with self._lock:
            return contexts.cached_composition(self._cache, key, versions, steady.now(), signature)

    def pop_ageing(self) -> Sequence[tuple[ContextKey, int]]:
        """Remove and return the ageing entries in use, as keys and versions, to be renewed."""
        with self._lock:
            return self._cache.pop_ageing()

    def record_write(self, tenant_id: str, revision: int) -> None:
        """Record an own write: no older copy of the tenant's entries may be used from now on."""
        with self._lock:
            self._cache.record_write(tenant_id, revision, steady.now())

    def is_ending(self, key: ContextKey) -> bool:
        """Whether a cached entry has little time left to live."""
        with self._lock:
            return contexts.is_ending(self._cache, key, steady.now())

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The last known entry of a reference, marked as stale, or None if there is none."""
        with self._lock:
            return contexts.last_known(self._cache, ref, steady.now())

    def after_fork(self) -> None:
        """Forget everything and stay closed: the stream belongs to the parent of this process."""
        self._begin()  # with a new lock: a thread of the parent may have held the old one
        self._is_closed = True

    def end(self) -> None:
        """Make the threads end, without waiting for them."""
        with self._lock:
            self._is_closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the stream, and wait for its threads to end, for a second at most.

        gRPC cancels the stream in milliseconds. But in a process that also runs grpc.aio, and
        whose server is away, it may never tell the thread; the channel's end ends the stream then.
        """
        self.end()
        if self._thread:
            self._thread.join(_CLOSING)

    def _start(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = _started("relevo-watch", self._run)

    def _wake(self) -> None:
        if self._cache.has_requests:
            self._changed.notify_all()

    def _run(self) -> None:
        backoff = Backoff(self._options.max_staleness)
        while not self._is_closed:
            begun, attempt, asked = time.monotonic(), self._contact.begin(), 0.0
            try:
                self._read(backoff.pace())
            except Exception as error:  # noqa: BLE001 - the contact logs each by its class
                if not self._is_closed:
                    asked = self._contact.stream_ended(attempt, error)
            lasted = time.monotonic() - begun
            with self._lock:
                pause = backoff.after(lasted, asked, is_answered=self._cache.is_live)
                self._cache.stream_ended()
                self._changed.wait_for(lambda: self._is_closed, pause)

    def _read(self, pace: Pace) -> None:
        stream = _Stream()
        with self._lock:
            self._cache.opened(steady.now(), client_info(self._options), pace)
        call = self._watch(self._requests(stream))
        try:
            pinging = _started("relevo-watch-ping", self._ping, stream, call)
        except Exception:  # too many threads: nothing else would cancel the stream
            self._end(stream)
            call.cancel()
            raise
        try:
            for message in call:
                record_sizes(entries_in(message))
                with self._lock:
                    is_answer = self._cache.received(message, steady.now())
                    self._wake()
                if is_answer:
                    self._contact.answered()
        except Exception:
            if stream.is_silent:
                raise TimeoutError from None  # the next stream may reach another server
            raise
        finally:
            self._end(stream)
            pinging.join()

    def _end(self, stream: _Stream) -> None:
        with self._lock:
            stream.is_over = True
            self._changed.notify_all()

    def _ping(self, stream: _Stream, call: Any) -> None:
        """Send the pings that are due; cancel the stream once it is silent, over or not needed."""
        interval = self._options.ping_interval
        try:
            with self._lock:
                while not self._changed.wait_for(lambda: self._is_over(stream), interval):
                    now = steady.now()
                    if self._cache.is_silent(now):
                        stream.is_silent = True
                        return
                    self._cache.tick(now)
                    self._wake()
        finally:
            call.cancel()

    def _requests(self, stream: _Stream) -> Iterator[WatchRequest]:
        """The stream's requests, as they come, until it is over. Runs in a thread of gRPC."""
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._is_over(stream) or self._cache.has_requests)
                if self._is_over(stream):
                    return
                requests = self._cache.requests()
            yield from requests
            with self._lock:
                if self._cache.has_requests:
                    self._changed.wait_for(lambda: self._is_over(stream), slice_pause())

    def _is_over(self, stream: _Stream) -> bool:
        return self._is_closed or stream.is_over


def _started(name: str, function: Callable[..., None], *args: Any) -> threading.Thread:
    # In an empty context: the first caller's context must not be current in the thread.
    thread = threading.Thread(target=Context().run, args=(function, *args), name=name, daemon=True)
    thread.start()
    return thread
