# Made from aio.py by `make twins`: edit that file, and never this one.
"""The blocking client of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

import grpc
from relevo.v1 import store_pb2

from relevo_client._client import forks
from relevo_client._client.blocking_compat import end_with, must_be_callable
from relevo_client._client.blocking_creation import Creation, Factory
from relevo_client._client.loaders import ATTEMPTS, Loaders
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import IncompleteContextError, NotFoundError, RelevoError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._near_cache.blocking import Watcher
from relevo_client._near_cache.options import CacheCounts, CacheOptions
from relevo_client._store import requests, snapshots
from relevo_client._store.blocking import Store
from relevo_client._store.requests import Invalidation


class ContextClient:
    """Asks a ContextStore, from any number of threads. Use with `with`, or call `close` in the end.

    Args:
        target: the server, as gRPC names it: `host:port`, `dns:///…`, `unix:…`.
        channel: a channel of your own, instead of a target; it is not closed here.
        credentials: for a channel that speaks TLS; without, it is not encrypted.
        token: sent as `authorization: Bearer …`; only over TLS or loopback, please.
        timeout: seconds that a call of the store may take, repetitions included. A method that
            needs several calls, as a large `batch_get` does, has as many for each.
        cache: keeps the contexts that are resolved, and watches them; None for no cache.
        loaders: by scope, a plain function that makes its entries by their keys: `resolve`
            asks for those that are missing, and before their time is over one process makes
            them anew.

    Every method raises RelevoError: InvalidFieldError, NotFoundError, ConflictError,
    UnavailableError and the others, each with its `reason`. A channel of the other kind
    and a coroutine function raise TypeError here.

    """

    def __init__(
        self,
        target: str | None = None,
        *,
        channel: grpc.Channel | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        timeout: float = 2.0,
        cache: CacheOptions | None = CacheOptions(),  # noqa: B008 - frozen
        loaders: Mapping[str, Factory] = {},
    ) -> None:
        for scope, loader in loaders.items():
            must_be_callable(f"loaders[{scope!r}]", loader)
        by_scope = Loaders(loaders)
        self._store = Store(target, channel, credentials, token=token, timeout=timeout)
        self._watcher = (
            Watcher(cache, self._store.watch, self._store.contact, by_scope.scopes)
            if cache
            else None
        )
        self._creation = Creation(self._store, self._watcher, by_scope)
        if self._watcher:
            end_with(self, self._watcher)
        forks.call_in_child(ContextClient._become_inherited, self)

    def __enter__(self) -> Self:
        """Nothing is sent before the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """End what is under way if the channel is the client's own, and close that.

        Waits for no factory: what one makes after this is not written.
        """
        self._store.refuse_calls()
        if self._watcher:
            self._watcher.close()
        self._creation.close()
        self._store.close()

    def get(self, key: ContextKey, *, min_revision: int = 0) -> ContextEntry:
        """The live entry under a key, as it was put.

        Raises NotFoundError, and StoreBehindError if the store has not reached
        `min_revision`.
        """
        request = requests.get_request(key, min_revision=min_revision)
        return requests.entry_of(self._store.get(request))

    def batch_get(self, keys: Sequence[ContextKey]) -> list[ContextEntry | RelevoError]:
        """What `get` would return or raise for each key, in their order.

        Any number of keys: 100 go into one call, and what an answer has no room
        for is asked for again.
        """
        batch = requests.Batch(keys)
        while batch.pending:
            batch.add(self._store.batch_get(batch.request()))
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
        """Write a whole context. The revision of the answer is the entry's new version.

        `ttl` (seconds) is the scope's if it is left out. Raises ConflictError if the
        entry does not have `if_version`, or exists and `if_absent`.
        """
        request = requests.put_request(
            key, context, ttl=ttl, if_version=if_version, if_absent=if_absent
        )
        return self._put(key, request)

    def update(
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
        NotFoundError if there is no live entry.
        """
        request = requests.update_request(
            key, changes or {}, clear=clear, ttl=ttl, if_version=if_version
        )
        return self._put(key, request)

    def invalidate(self, *keys: ContextKey) -> Invalidation:
        """End entries of one tenant, up to 100, whether they exist or not."""
        request = requests.invalidate_request(keys)
        ended = requests.invalidation_of(self._store.invalidate(request), keys=True)
        self._wrote(keys[0].tenant_id, ended.revision)
        return ended

    def invalidate_tenant(self, tenant_id: str, *, scope: str = "") -> Invalidation:
        """End all entries of a tenant, or of one scope of it, in one step."""
        request = requests.invalidate_tenant_request(tenant_id, scope)
        ended = requests.invalidation_of(self._store.invalidate(request), keys=False)
        self._wrote(tenant_id, ended.revision)
        return ended

    def get_or_create(
        self,
        key: ContextKey,
        factory: Factory,
        *,
        ttl: timedelta | float | None = None,
        timeout: float | None = None,
    ) -> ContextEntry:
        """The live entry, created by `factory(key)` if there is none.

        One factory is called, whatever the number of callers and of processes; the
        others wait. It runs in a thread of its own: a caller that gives up does not end
        it, and no context is current in it. Its process has the store's `lease_ttl` (10 s
        by default) to create the entry; after that, or if it dies, another one
        does. What the factory raises, every caller in its process gets. `timeout`
        (seconds) bounds all that this caller waits for: UnavailableError. Without it, the
        caller waits for as long as the entry takes.
        """
        return self._creation.create(key, factory, ttl, Deadline.after(timeout))

    def resolve(
        self,
        target: ContextKey | ContextRef,
        *,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> ContextEntry:
        """The entry with its context composed from what it includes.

        For a reference, as of its revision or later, else StoreBehindError. Entries
        that do not exist are made if their scopes have loaders; else it raises
        NotFoundError, and IncompleteContextError if an included one does not exist.
        `fresh` asks the store, whatever the cache has: every change that was acknowledged
        before is in the answer. `timeout` (seconds) bounds it all, and can only shorten a
        call of the client's own.
        """
        deadline = Deadline.after(timeout)
        ref = requests.ref_of(target)
        for _ in range(ATTEMPTS):
            try:
                return self._resolve(ref, deadline, fresh=fresh)
            except (NotFoundError, IncompleteContextError) as error:
                created = self._creation.create_missing(ref.key, error, deadline)
            ref = replace(ref, revision=max(ref.revision, *(entry.version for entry in created)))
        return self._resolve(ref, deadline, fresh=fresh)

    def _resolve(self, ref: ContextRef, deadline: Deadline, *, fresh: bool) -> ContextEntry:
        cached = None if fresh else self.peek(ref)
        if cached:
            return cached
        may_be_cached = not fresh and self._watcher is not None and self._watcher.record_miss(ref)
        request = requests.get_request(
            ref.key, min_revision=ref.revision, layers=True, cached=may_be_cached
        )
        response = self._store.get(request, deadline)
        versions = requests.versions_in(response)
        composition = self._watcher.cached_composition(ref.key, versions) if self._watcher else None
        return requests.resolved(response, ref, composition)

    def snapshot(
        self, entry: ContextEntry, *, ttl: timedelta | float | None = None
    ) -> ContextEntry:
        """What an entry that was resolved is now, as an entry that nobody changes.

        For what has to be the same from beginning to end, as a conversation's turn or a
        job: whoever works with the snapshot's reference works with just this context, and
        changes count for the next snapshot. Asks nobody if the cache has it already; the
        same state has the same snapshot, whoever makes it. `ttl` (seconds) is that of the
        scope `snapshot` if it is left out. Raises IncompleteContextError for an entry with
        includes that `get` has answered: it has no layers.
        """
        cached = self._watcher.entry(entry.snapshot_key) if self._watcher else None
        if cached:
            return cached
        return self._creation.create_snapshot(snapshots.snapshot_of(entry), ttl)

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """What `resolve` would answer, if this client's cache knows it; else None.

        Nothing is sent. Raises NotFoundError if the cache knows that; whether a layer is
        missing, only the store can say.
        """
        if self._watcher is None:
            return None
        found = self._watcher.resolve(requests.ref_of(target))
        ageing = self._watcher.pop_ageing()
        if ageing:
            self._creation.renew(ageing)
        return found

    def last_known(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The copy that this client's cache had last, marked as `is_stale`; else None.

        For when the store cannot be asked: the copy may be older than what a
        reference asks for, and its entry may have been changed. One that has run
        out, or is known to have been ended, is not handed out.
        """
        return self._watcher.last_known(requests.ref_of(target)) if self._watcher else None

    @property
    def cache_counts(self) -> CacheCounts:
        """What the cache has done so far; nothing if there is none."""
        return self._watcher.counts if self._watcher else CacheCounts()

    def _become_inherited(self) -> None:
        if self._store.is_used:
            self._store.after_fork()
            if self._watcher:
                self._watcher.after_fork()

    def _put(self, key: ContextKey, request: store_pb2.PutRequest) -> ContextRef:
        ref = requests.put_ref(key, self._store.put(request))
        self._wrote(key.tenant_id, ref.revision)
        return ref

    def _wrote(self, tenant_id: str, revision: int) -> None:
        if self._watcher:
            self._watcher.record_write(tenant_id, revision)
