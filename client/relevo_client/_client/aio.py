"""The asyncio client of the store."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import Any, Self

import grpc
from relevo.v1 import store_pb2

from relevo_client._client import forks
from relevo_client._client.aio_compat import end_with, must_be_callable
from relevo_client._client.aio_creation import AsyncCreation, AsyncFactory
from relevo_client._client.aio_resolver import AsyncResolver
from relevo_client._client.aio_sampler import AsyncSampler
from relevo_client._client.aio_snapshots import AsyncSnapshots
from relevo_client._client.aio_turns import AsyncTurns
from relevo_client._client.loaders import Loaders
from relevo_client._client.reference_keys import KeySource
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import RelevoError
from relevo_client._context.fences import fence_of, seen
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._near_cache.aio import AsyncWatcher
from relevo_client._near_cache.options import CacheOptions
from relevo_client._store import requests
from relevo_client._store.access import Access
from relevo_client._store.aio import AsyncStore, AsyncToken
from relevo_client._store.channel import Balance
from relevo_client._store.requests import Invalidation
from relevo_client._store.tls import Pem


class AsyncContextClient(AsyncTurns):
    """A client of a ContextStore for an event loop. Use `async with`, or call `close` at the end.

    Args:
        target: the server's address in gRPC's syntax: `host:port`, `dns:///…`, `unix:…`.
        channel: a channel of your own instead of a target; the client does not close it.
        credentials: for a TLS channel; without them, and without `ca` and `cert`, the channel is
            not encrypted.
        ca: PEM of the authorities that the client trusts, instead of the system's.
        cert: PEM of the client's certificate, with its chain.
        key: PEM of the certificate's private key. Each of the three is a path or the content as
            bytes. Files are read now, and again when they have changed: the client then moves to
            another channel, and calls in flight end on the former one.
        token: sent as `authorization: Bearer …`. A str, or a function that returns one: a
            coroutine function, or a plain one, which runs in a thread.
            Its token is used for 60 s. A call whose token the store refuses is repeated once.
        token_file: the path of a file with the token. It is read again each second, and for a
            call whose token the store refuses.
        insecure_token: whether the token may leave this host over a channel without TLS.
        timeout: seconds for one call of the store, including retries. Each call of a method
            that needs several, such as a large `batch_get`, has its own timeout.
        cache: options of the near cache, which keeps resolved contexts and watches them;
            None for no cache.
        loaders: by scope, a coroutine function that returns the context for a key of the scope.
            `resolve` calls it for missing entries; one process also calls it to renew an entry
            shortly before its time to live is over.
        reference_keys: the keys with which services verify signed references, for their
            `trust_callers="signed"`: the path of a file, or a function that returns them by name.
        balance: how calls spread over the addresses of a target that has several. With
            `pick_first`, all go to one server, and to another one if its connection is lost;
            `round_robin` connects to all of them, and takes them in turn.
        trace_keys: whether spans have the keys of contexts, which name tenants and
            conversations.

    Every method raises RelevoError: InvalidFieldError, NotFoundError, ConflictError,
    UnavailableError and the others, each with its `reason`. A channel of the other kind
    raises TypeError here.

    Arguments that exclude one another, and a token that would leave this host unencrypted, raise
    ValueError; a file that cannot be read, and a token that no header can hold, InvalidFieldError.

    """

    def __init__(
        self,
        target: str | None = None,
        *,
        channel: grpc.aio.Channel | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        token: AsyncToken | None = None,
        token_file: str | PathLike[str] | None = None,
        insecure_token: bool = False,
        timeout: float = 2.0,
        cache: CacheOptions | None = CacheOptions(),  # noqa: B008 - frozen
        loaders: Mapping[str, AsyncFactory] = {},
        reference_keys: KeySource | None = None,
        balance: Balance = "pick_first",
        trace_keys: bool = False,
    ) -> None:
        for scope, loader in loaders.items():
            must_be_callable(f"loaders[{scope!r}]", loader)
        by_scope = Loaders(loaders)
        access = Access(
            credentials=credentials,
            ca=ca,
            cert=cert,
            key=key,
            token=token,
            token_file=token_file,
            insecure_token=insecure_token,
        )
        self._store = AsyncStore(
            target, channel, access, timeout=timeout, balance=balance, trace_keys=trace_keys
        )
        self._watcher = (
            AsyncWatcher(cache, self._store.watch, self._store.contact, by_scope.scopes)
            if cache
            else None
        )
        self._creation = AsyncCreation(self._store, self._watcher, by_scope)
        self._sampler = (
            AsyncSampler(self._store, self._watcher, cache)
            if cache and cache.sample_every and self._watcher
            else None
        )
        super().__init__(
            self._watcher,
            self._sampler,
            self._creation,
            reference_keys,
            AsyncResolver(self._store, self._watcher, self._creation),
            AsyncSnapshots(self._store, self._watcher),
        )
        if self._watcher:
            end_with(self, self._watcher)
        forks.call_in_child(AsyncContextClient._become_inherited, self)

    async def __aenter__(self) -> Self:
        """Return the client. Sends nothing: the first call connects."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """End the loads in flight and the cache's stream, and close the client's own channel."""
        await self._snapshots.close()
        self._store.refuse_calls()
        if self._sampler:
            await self._sampler.close()
        if self._watcher:
            await self._watcher.close()
        await self._creation.close()
        await self._store.close()

    async def get(self, key: ContextKey, *, min_revision: int = 0) -> ContextEntry:
        """Read the live entry of a key as it was put, not composed with what it includes.

        Raises NotFoundError if there is none, and StoreBehindError if the store has not
        reached `min_revision`.
        """
        request = requests.get_request(key, min_revision=min_revision)
        request.min_revision = max(min_revision, fence_of(key.tenant_id))
        return seen(requests.entry_of(await self._store.get(request)))

    async def batch_get(self, keys: Sequence[ContextKey]) -> list[ContextEntry | RelevoError]:
        """For each key, in order, the entry that `get` would return or the error it would raise.

        Takes any number of keys: one call has up to 100, and entries for which a response had
        no room are requested again.
        """
        batch = requests.Batch(keys, fence_of)
        while batch.pending:
            batch.add(await self._store.batch_get(batch.request()))
        results = batch.results()
        return [seen(each) if isinstance(each, ContextEntry) else each for each in results]

    async def put(
        self,
        key: ContextKey,
        context: ExecutionContext,
        *,
        ttl: timedelta | float | None = None,
        if_version: int | None = None,
        if_absent: bool = False,
    ) -> ContextRef:
        """Write a whole context. The revision of the returned reference is the new version.

        `ttl` is a timedelta or seconds; the default is the scope's. Raises ConflictError if
        the entry's version is not `if_version`, or if `if_absent` and the entry exists.
        """
        request = requests.put_request(
            key, context, ttl=ttl, if_version=if_version, if_absent=if_absent
        )
        return await self._put(key, request)

    async def update(
        self,
        key: ContextKey,
        changes: Mapping[str, Any] | None = None,
        *,
        clear: Sequence[str] = (),
        ttl: timedelta | float | None = None,
        if_version: int | None = None,
    ) -> ContextRef:
        """Change parts of the live entry's context, and leave the rest.

        `changes` has fields by name; of a section, only the keys given change:
        `{"user_id": "u1", "llm_config": {"model": "m2"}}`. `clear` has paths to
        clear: `"user_id"`, `"llm_config"`, `"llm_config.stop"`. `ttl` and `if_version` are
        those of `put`. Raises NotFoundError if there is no live entry, and ConflictError if
        its version is not `if_version`.
        """
        request = requests.update_request(
            key, changes or {}, clear=clear, ttl=ttl, if_version=if_version
        )
        return await self._put(key, request)

    async def invalidate(self, *keys: ContextKey) -> Invalidation:
        """End entries of one tenant, up to 100, whether they exist or not."""
        request = requests.invalidate_request(keys)
        ended = requests.invalidation_of(await self._store.invalidate(request), keys=True)
        self._creation.wrote(keys[0].tenant_id, ended.revision)
        return ended

    async def invalidate_tenant(self, tenant_id: str, *, scope: str = "") -> Invalidation:
        """End all entries of a tenant, or of one scope of it, in one step."""
        request = requests.invalidate_tenant_request(tenant_id, scope)
        ended = requests.invalidation_of(await self._store.invalidate(request), keys=False)
        self._creation.wrote(tenant_id, ended.revision)
        return ended

    async def get_or_create(
        self,
        key: ContextKey,
        factory: AsyncFactory,
        *,
        ttl: timedelta | float | None = None,
        timeout: float | None = None,
    ) -> ContextEntry:
        """The live entry, created with the context that `factory(key)` returns if there is none.

        One process calls its factory, once for all of its callers; the others wait. The factory
        runs in a task of its own: a caller that is cancelled does not end it, and no context is
        current in it. Its process has the store's `lease_ttl` (10 s by default) to create
        the entry; after that, or if the process dies, another one calls its factory.

        `ttl` is that of `put`. `timeout` limits this caller's wait in seconds: it raises
        UnavailableError then. By default the caller waits for as long as the creation takes. An
        exception of the factory is raised to every caller in its process.
        """
        return seen(await self._creation.create(key, factory, ttl, Deadline.after(timeout)))

    async def resolve(
        self,
        target: ContextKey | ContextRef,
        *,
        begin: AsyncFactory | None = None,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> ContextEntry:
        """The live entry of a key or reference, its context composed with what it includes.

        For a reference the entry is as of its revision or later; raises StoreBehindError if the
        store has not reached it. Missing entries are created if their scopes have loaders;
        otherwise raises NotFoundError, or IncompleteContextError if an included entry is missing.
        `begin` creates the entry itself if it does not exist, as the factory of `get_or_create`.
        `fresh` reads from the store and not from the cache: the result has every change that
        was acknowledged before. `timeout` limits all of it in seconds, and can only shorten the
        timeout of a single call.
        """
        deadline = Deadline.after(timeout)
        ref = requests.ref_of(target)
        cached, absence = self._look_up(ref, fresh=fresh)
        return cached or await self._resolver.resolve(
            ref, absence, deadline, fresh=fresh, begin=begin
        )

    @property
    def trace_keys(self) -> bool:
        """Whether spans have the keys of contexts."""
        return self._store.trace_keys

    def _become_inherited(self) -> None:
        if self._store.is_used:
            self._store.after_fork()
            self._snapshots = AsyncSnapshots(self._store, self._watcher)  # with locks of its own
            if self._watcher:
                self._watcher.after_fork()

    async def _put(self, key: ContextKey, request: store_pb2.PutRequest) -> ContextRef:
        ref = requests.put_ref(key, await self._store.put(request))
        self._creation.wrote(key.tenant_id, ref.revision)
        return ref
