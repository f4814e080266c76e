"""The near cache's driver for threads: a Watch stream for as long as there is a client.

One thread opens streams and reads them. Beside each stream a second one pings, and
ends it where nothing comes back: the first may be waiting to read, and gRPC's own,
which sends the requests, to send.
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
from relevo_client._near_cache import contexts
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.options import CacheCounts, CacheOptions
from relevo_client._near_cache.stream_rules import SLICE, Backoff, Contact, slice_pause

Watch = Callable[[Iterator[WatchRequest]], Any]
"""Opens a stream with these requests: gRPC's call."""


class _Stream:
    """A stream that is open, as its three threads see it."""

    def __init__(self) -> None:
        self.is_over = False
        self.is_silent = False


class Watcher:
    """Keeps a near cache current, for any number of threads. Begins with the first lookup."""

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

    def _begin(self) -> None:
        self._cache = NearCache(self._options, renewed_scopes=self._renewed_scopes)
        # Around every use of the cache. Reentrant, for `end` may be called amid any of them.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def counts(self) -> CacheCounts:
        """What the cache has done so far."""
        with self._lock:
            return replace(self._cache.counts)

    def record_miss(self, ref: ContextRef) -> bool:
        """Count a context for which the store is asked. Whether from a server's memory will do."""
        with self._lock:
            self._cache.counts.misses += 1
            return self._cache.allows_cached_read(ref.key, ref.revision)

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The context where it is known here; None where the store has to be asked.

        Raises NotFoundError if that is known here.
        """
        with self._lock:
            self._start()
            try:
                found = contexts.resolve(self._cache, ref, time.monotonic())
            finally:
                self._wake()
            if found is not None:
                self._cache.counts.hits += 1
            return found

    def entry(self, key: ContextKey) -> ContextEntry | None:
        """The live entry as it was put, where it is known here."""
        with self._lock:
            self._start()
            found = contexts.entry(self._cache, key, time.monotonic())
            self._wake()
            return found

    def cached_composition(self, key: ContextKey, versions: tuple[int, ...]) -> ContextEntry | None:
        """The composition of just these versions, of the entry and its layers, if it has it."""
        with self._lock:
            return contexts.cached_composition(self._cache, key, versions, time.monotonic())

    def pop_ageing(self) -> Sequence[tuple[ContextKey, int]]:
        """Entries in use, with their versions, that are to be made anew; each once."""
        if not self._cache.ageing:
            return ()
        with self._lock:
            return self._cache.pop_ageing()

    def record_write(self, tenant_id: str, revision: int) -> None:
        """Use no copy of the tenant's from before this write."""
        with self._lock:
            self._cache.record_write(tenant_id, revision, time.monotonic())

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The context as it was known last, trusted or not."""
        with self._lock:
            return contexts.last_known(self._cache, ref, time.monotonic())

    def after_fork(self) -> None:
        """Forget everything: this is a child process, and the stream is its parent's."""
        self._begin()  # a thread that is not here may have had the lock
        self._is_closed = True

    def end(self) -> None:
        """Let the threads end. Waits for nothing."""
        with self._lock:
            self._is_closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the stream, and see its threads end."""
        self.end()
        if self._thread:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = _started("relevo-watch", self._run)

    def _wake(self) -> None:
        if self._cache.has_requests:
            self._changed.notify_all()

    def _run(self) -> None:
        backoff = Backoff()
        while not self._is_closed:
            begun, attempt = time.monotonic(), self._contact.begin()
            try:
                self._read()
            except Exception as error:  # noqa: BLE001 - told by its kind
                if not self._is_closed:
                    self._contact.stream_ended(attempt, error)
            pause = backoff.after(time.monotonic() - begun)
            with self._lock:
                self._cache.stream_ended()
                self._changed.wait_for(lambda: self._is_closed, pause)

    def _read(self) -> None:
        stream = _Stream()
        with self._lock:
            self._cache.opened(time.monotonic())
        call = self._watch(self._requests(stream))
        pinging = _started("relevo-watch-ping", self._ping, stream, call)
        try:
            for message in call:
                with self._lock:
                    is_answer = self._cache.received(message)
                    self._wake()
                if is_answer:
                    self._contact.answered()
        except Exception:
            if stream.is_silent:
                raise TimeoutError from None  # another peer may be better
            raise
        finally:
            with self._lock:
                stream.is_over = True
                self._changed.notify_all()
            pinging.join()

    def _ping(self, stream: _Stream, call: Any) -> None:
        """Ask for signs of life, and end the stream where none comes, or nobody wants it."""
        interval = self._options.ping_interval
        try:
            with self._lock:
                while not self._changed.wait_for(lambda: self._is_over(stream), interval):
                    now = time.monotonic()
                    if self._cache.is_silent(now):
                        stream.is_silent = True
                        return
                    self._cache.ping(now)
                    self._changed.notify_all()
        finally:
            call.cancel()

    def _requests(self, stream: _Stream) -> Iterator[WatchRequest]:
        """What the stream is asked, for as long as it is open. Runs in a thread of gRPC's."""
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._is_over(stream) or self._cache.has_requests)
                if self._is_over(stream):
                    return
                requests = self._cache.requests()
            for i, request in enumerate(requests, start=1):
                yield request
                if i % SLICE == 0:
                    with self._lock:
                        self._changed.wait_for(lambda: self._is_over(stream), slice_pause())

    def _is_over(self, stream: _Stream) -> bool:
        return self._is_closed or stream.is_over


def _started(name: str, function: Callable[..., None], *args: Any) -> threading.Thread:
    # In a context of its own: nothing of the first caller's is current in it.
    thread = threading.Thread(target=Context().run, args=(function, *args), name=name, daemon=True)
    thread.start()
    return thread
