"""The blocking client of the store, for any number of threads."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self, TypeVar
from weakref import finalize

import grpc
from relevo.v1 import store_pb2_grpc

from relevo_client import _calls, _forks
from relevo_client._calls import CHANNEL_OPTIONS, Invalidation
from relevo_client._errors import (
    ConflictError,
    NotFoundError,
    RelevoError,
    closed,
    forked,
    from_call,
)
from relevo_client._keys import ContextKey, ContextRef
from relevo_client._messages import ContextEntry
from relevo_client._model import ExecutionContext
from relevo_client._near_state import CacheCounts
from relevo_client._single_flight import ThreadFlights
from relevo_client._thread_watcher import ThreadWatcher, Watch
from relevo_client._watching import CacheOptions

BlockingFactory = Callable[[ContextKey], ExecutionContext]
_Response = TypeVar("_Response")


class ContextClient:
    """`AsyncContextClient` for blocking code: the same arguments, methods and errors.

    It can be used from any thread. Use with `with`, or call `close` in the end.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        channel: grpc.Channel | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        timeout: float = 2.0,
        cache: CacheOptions | None = None,
    ) -> None:
        if (target is None) == (channel is None):
            raise ValueError("give either a target or a channel")
        self._own_channel = channel is None
        given: Any = channel and _Plain(channel)
        if channel is None:
            options = list(CHANNEL_OPTIONS)
            channel = (
                grpc.insecure_channel(str(target), options)
                if credentials is None
                else grpc.secure_channel(str(target), credentials, options)
            )
        self._channel = channel
        self._closed = self._forked = False
        self._store = store_pb2_grpc.ContextStoreStub(given or channel)
        self._metadata = _calls.metadata_of(token)
        self._timeout = timeout
        self._loads = ThreadFlights[ContextKey, ContextEntry]()
        watch = _watch_of(self._store, self._metadata)
        self._watcher = ThreadWatcher(cache, watch) if cache else None
        if self._watcher:  # whose threads know nothing of the client: it may be forgotten
            finalize(self, self._watcher.end)
        _forks.call_in_child(ContextClient._become_inherited, self)

    def __enter__(self) -> Self:
        """Nothing is sent before the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """End what is under way where the channel is the client's own, and close that."""
        self._closed = True
        if self._watcher:
            self._watcher.close()
        if self._own_channel and not self._forked:
            self._channel.close()

    def get(self, key: ContextKey, *, min_revision: int = 0) -> ContextEntry:
        """The live entry under a key, as it was put."""
        request = _calls.get_request(key, min_revision=min_revision)
        return _calls.entry_of(self._call(self._store.Get, request))

    def batch_get(self, keys: Sequence[ContextKey]) -> list[ContextEntry | RelevoError]:
        """What `get` would return or raise for each key, in their order."""
        batch = _calls.Batch(keys)
        while batch.waiting:
            batch.take(self._call(self._store.BatchGet, batch.request()))
        return batch.results()

    def put(
        self,
        key: ContextKey,
        context: ExecutionContext,
        *,
        ttl: timedelta | float | None = None,
        if_version: int | None = None,
        if_absent: bool = False,
    ) -> ContextRef:
        """Write a whole context. The revision of the answer is the entry's new version."""
        request = _calls.put_request(
            key, context, ttl=ttl, if_version=if_version, if_absent=if_absent
        )
        return _calls.put_ref(key, self._call(self._store.Put, request))

    def update(
        self,
        key: ContextKey,
        changes: Mapping[str, Any] | None = None,
        *,
        clear: Sequence[str] = (),
        ttl: timedelta | float | None = None,
        if_version: int | None = None,
    ) -> ContextRef:
        """Write parts of a context into the live entry, and leave the rest."""
        request = _calls.update_request(
            key, changes or {}, clear=clear, ttl=ttl, if_version=if_version
        )
        return _calls.put_ref(key, self._call(self._store.Put, request))

    def invalidate(self, *keys: ContextKey) -> Invalidation:
        """End entries of one tenant, up to 100, whether they exist or not."""
        request = _calls.invalidate_request(keys)
        return _calls.invalidation_of(self._call(self._store.Invalidate, request), keys=True)

    def invalidate_tenant(self, tenant_id: str, *, scope: str = "") -> Invalidation:
        """End all entries of a tenant, or of one scope of it, in one step."""
        request = _calls.invalidate_tenant_request(tenant_id, scope)
        return _calls.invalidation_of(self._call(self._store.Invalidate, request), keys=False)

    def get_or_create(
        self, key: ContextKey, factory: BlockingFactory, *, ttl: timedelta | float | None = None
    ) -> ContextEntry:
        """The live entry, created by `factory(key)` where there is none.

        Threads of this process share one factory call. It runs in a thread of its
        own, without a current context. What it raises, every thread that waits gets.
        """
        with suppress(NotFoundError):
            return self.get(key)
        return self._loads.share(key, lambda: self._load(key, factory, ttl))

    def resolve(
        self, target: ContextKey | ContextRef, *, timeout: float | None = None
    ) -> ContextEntry:
        """The entry with its context composed from what it includes."""
        ref = _calls.ref_of(target)
        known = self.peek(ref)
        if known:
            return known
        if self._watcher:
            self._watcher.missed()
        request = _calls.get_request(ref.key, min_revision=ref.revision, layers=True)
        return _calls.composed(_calls.entry_of(self._call(self._store.Get, request, timeout)))

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """What `resolve` would answer, where this client's cache knows it; else None."""
        return self._watcher.resolve(_calls.ref_of(target)) if self._watcher else None

    def last_known(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The copy that this client's cache had last, marked as `is_stale`; else None."""
        return self._watcher.last_known(_calls.ref_of(target)) if self._watcher else None

    @property
    def cache_counts(self) -> CacheCounts:
        """What the cache has done so far; nothing where there is none."""
        return self._watcher.counts if self._watcher else CacheCounts()

    def _become_inherited(self) -> None:
        self._forked = True
        if self._watcher:
            self._watcher.forked()

    def _call(
        self, method: Callable[..., _Response], request: Any, timeout: float | None = None
    ) -> _Response:
        if self._forked:
            raise forked("make another one in the child")
        if self._closed:
            raise closed()
        timeout = self._timeout if timeout is None else min(timeout, self._timeout)
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            failure = from_call(error)
            if self._closed and failure.reason == grpc.StatusCode.CANCELLED.name:
                failure = closed()  # the channel ended the call
            raise failure from None
        except ValueError:  # what gRPC raises for a call on a closed channel
            raise closed() from None

    def _load(
        self, key: ContextKey, factory: BlockingFactory, ttl: timedelta | float | None
    ) -> ContextEntry:
        try:
            return self.get(key)
        except NotFoundError:
            context = factory(key)
        with suppress(ConflictError):  # another process created it meanwhile
            self.put(key, context, ttl=ttl, if_absent=True)
        return self.get(key)


def _watch_of(store: Any, metadata: Any) -> Watch:
    def watch(requests: Any) -> Any:
        try:
            return store.Watch(requests, metadata=metadata)
        except ValueError:  # what gRPC raises for a call on a closed channel
            raise closed() from None

    return watch


class _Plain:
    """A channel as a stub needs it, without gRPC's registered methods.

    gRPC looks these up in a channel's memory even where that is gone: a crash.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        return self._channel.unary_unary(method, *args, **{**options, "_registered_method": False})

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        return self._channel.stream_stream(
            method, *args, **{**options, "_registered_method": False}
        )
