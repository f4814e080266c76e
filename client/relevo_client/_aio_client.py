"""The asyncio client of the store."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self, TypeVar

import grpc
from grpc import aio
from relevo.v1 import store_pb2_grpc

from relevo_client import _calls
from relevo_client._calls import CHANNEL_OPTIONS, Invalidation
from relevo_client._errors import (
    ConflictError,
    NotFoundError,
    RelevoError,
    closed,
    from_call,
    unreadable,
)
from relevo_client._keys import ContextKey, ContextRef
from relevo_client._messages import ContextEntry
from relevo_client._model import ExecutionContext
from relevo_client._near_state import CacheCounts
from relevo_client._single_flight import AsyncFlights, cancelled_from_outside
from relevo_client._watcher import AsyncWatcher, CacheOptions

Factory = Callable[[ContextKey], Awaitable[ExecutionContext]]
_Response = TypeVar("_Response")


class AsyncContextClient:
    """Asks a ContextStore. Use with `async with`, or call `close` in the end.

    Args:
        target: the server, as gRPC names it: `host:port`, `dns:///…`, `unix:…`.
        channel: a channel of your own, instead of a target; it is not closed here.
        credentials: for a channel that speaks TLS; without, it is not encrypted.
        token: sent as `authorization: Bearer …`; only over TLS or loopback, please.
        timeout: seconds that a call may take, repetitions included.
        cache: keeps the contexts that are resolved, and watches them; None for no cache.

    Every method raises RelevoError: InvalidFieldError, NotFoundError, ConflictError,
    UnavailableError and the others, each with its `reason`.

    """

    def __init__(
        self,
        target: str | None = None,
        *,
        channel: aio.Channel | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        timeout: float = 2.0,
        cache: CacheOptions | None = None,
    ) -> None:
        if (target is None) == (channel is None):
            raise ValueError("give either a target or a channel")
        self._target = target or ""
        self._channel = channel
        self._credentials = credentials
        self._metadata = _calls.metadata_of(token)
        self._timeout = timeout
        self._closed = False
        # Made now: on a channel that is closed by then, gRPC would crash.
        self._stub = store_pb2_grpc.ContextStoreStub(channel) if channel else None
        self._loads = AsyncFlights[ContextKey, ContextEntry]()
        self._watcher = AsyncWatcher(cache, self._watch) if cache else None

    async def __aenter__(self) -> Self:
        """Nothing is sent before the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """End what is under way, and the channel where it is the client's own."""
        self._closed = True
        if self._watcher:
            await self._watcher.close()
        await self._loads.close()
        if self._target and self._channel is not None:
            await self._channel.close()
            self._channel = self._stub = None

    async def get(self, key: ContextKey, *, min_revision: int = 0) -> ContextEntry:
        """The live entry under a key, as it was put.

        Raises NotFoundError, and StoreBehindError where the store has not reached
        `min_revision`.
        """
        request = _calls.get_request(key, min_revision=min_revision)
        return _calls.entry_of(await self._call(self._store.Get, request))

    async def batch_get(self, keys: Sequence[ContextKey]) -> list[ContextEntry | RelevoError]:
        """What `get` would return or raise for each key, in their order.

        Any number of keys: 100 go into one call, and what an answer has no room
        for is asked for again.
        """
        batch = _calls.Batch(keys)
        while batch.waiting:
            batch.take(await self._call(self._store.BatchGet, batch.request()))
        return batch.results()

    async def put(
        self,
        key: ContextKey,
        context: ExecutionContext,
        *,
        ttl: timedelta | float | None = None,
        if_version: int | None = None,
        if_absent: bool = False,
    ) -> ContextRef:
        """Write a whole context. The revision of the answer is the entry's new version.

        `ttl` (seconds) is the scope's where it is left out. Raises ConflictError
        where the entry does not have `if_version`, or exists and `if_absent`.
        """
        request = _calls.put_request(
            key, context, ttl=ttl, if_version=if_version, if_absent=if_absent
        )
        return _calls.put_ref(key, await self._call(self._store.Put, request))

    async def update(
        self,
        key: ContextKey,
        changes: Mapping[str, Any] | None = None,
        *,
        clear: Sequence[str] = (),
        ttl: timedelta | float | None = None,
        if_version: int | None = None,
    ) -> ContextRef:
        """Write parts of a context into the live entry, and leave the rest.

        `changes` has fields by name; of a section, only the keys given change:
        `{"user_id": "u1", "llm_config": {"model": "m2"}}`. `clear` has paths to
        clear: `"user_id"`, `"llm_config"`, `"llm_config.stop"`. Raises
        NotFoundError where there is no live entry.
        """
        request = _calls.update_request(
            key, changes or {}, clear=clear, ttl=ttl, if_version=if_version
        )
        return _calls.put_ref(key, await self._call(self._store.Put, request))

    async def invalidate(self, *keys: ContextKey) -> Invalidation:
        """End entries of one tenant, up to 100, whether they exist or not."""
        request = _calls.invalidate_request(keys)
        return _calls.invalidation_of(await self._call(self._store.Invalidate, request), keys=True)

    async def invalidate_tenant(self, tenant_id: str, *, scope: str = "") -> Invalidation:
        """End all entries of a tenant, or of one scope of it, in one step."""
        request = _calls.invalidate_tenant_request(tenant_id, scope)
        return _calls.invalidation_of(await self._call(self._store.Invalidate, request), keys=False)

    async def get_or_create(
        self, key: ContextKey, factory: Factory, *, ttl: timedelta | float | None = None
    ) -> ContextEntry:
        """The live entry, created by `factory(key)` where there is none.

        Callers in this process share one factory call. It runs on its own: a
        caller that is cancelled does not end it, and no context is current in
        it. Where another process was faster, its entry is returned. What the
        factory raises, every caller that waits gets.
        """
        return await self._loads.share(key, lambda: self._load(key, factory, ttl))

    async def resolve(
        self, target: ContextKey | ContextRef, *, timeout: float | None = None
    ) -> ContextEntry:
        """The entry with its context composed from what it includes.

        For a reference, as of its revision or later, else StoreBehindError.
        Raises IncompleteContextError where an included entry does not exist.
        `timeout` (seconds) can only shorten the client's own.
        """
        ref = _calls.ref_of(target)
        known = self.peek(ref)
        if known:
            return known
        if self._watcher:
            self._watcher.counts.misses += 1
        # With a fence, who keeps copies here is content with one that the server keeps.
        cached = self._watcher is not None and ref.revision > 0
        request = _calls.get_request(ref.key, min_revision=ref.revision, layers=True, cached=cached)
        response = await self._call(self._store.Get, request, timeout)
        return _calls.composed(_calls.entry_of(response))

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """What `resolve` would answer, where this client's cache knows it; else None.

        Nothing is sent. Raises NotFoundError and IncompleteContextError, where the
        cache knows that.
        """
        return self._watcher.resolve(_calls.ref_of(target)) if self._watcher else None

    @property
    def cache_counts(self) -> CacheCounts:
        """What the cache has done so far; nothing where there is none."""
        return replace(self._watcher.counts) if self._watcher else CacheCounts()

    def _watch(self) -> Any:
        return self._store.Watch(metadata=self._metadata)

    @property
    def _store(self) -> "store_pb2_grpc.ContextStoreAsyncStub":
        if self._closed:
            raise closed()
        if self._stub is None:
            if self._channel is None:
                self._channel = self._open()
            self._stub = store_pb2_grpc.ContextStoreStub(self._channel)
        return self._stub

    def _open(self) -> aio.Channel:
        if self._credentials is None:
            return aio.insecure_channel(self._target, CHANNEL_OPTIONS)
        return aio.secure_channel(self._target, self._credentials, CHANNEL_OPTIONS)

    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: Any,
        timeout: float | None = None,
    ) -> _Response:
        timeout = self._timeout if timeout is None else min(timeout, self._timeout)
        try:
            response = await method(request, timeout=timeout, metadata=self._metadata)
        except aio.AioRpcError as error:
            raise from_call(error) from None
        except aio.UsageError:
            raise closed() from None
        except asyncio.CancelledError:
            if cancelled_from_outside():
                raise
            raise closed() from None  # the channel ended the call
        if response is None:  # what gRPC returns for an answer that it cannot parse
            raise unreadable()
        return response

    async def _load(
        self, key: ContextKey, factory: Factory, ttl: timedelta | float | None
    ) -> ContextEntry:
        try:
            return await self.get(key)
        except NotFoundError:
            context = await factory(key)
        with suppress(ConflictError):  # another process created it meanwhile
            await self.put(key, context, ttl=ttl, if_absent=True)
        return await self.get(key)
