"""The blocking client of the store, for any number of threads."""

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self
from weakref import finalize

import grpc
from relevo.v1 import store_pb2

from relevo_client._client import forks
from relevo_client._client.blocking_creation import BlockingCreating, BlockingFactory
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    ConflictError,
    IncompleteContextError,
    NotFoundError,
    RelevoError,
)
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._near_cache.blocking import ThreadWatcher
from relevo_client._near_cache.state import CacheCounts
from relevo_client._near_cache.stream_rules import CacheOptions
from relevo_client._store import leases, requests, snapshots
from relevo_client._store.blocking import BlockingStore
from relevo_client._store.leases import Lifetime, Loaders
from relevo_client._store.requests import Invalidation
from relevo_client._store.snapshots import Snapshot


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
        cache: CacheOptions | None = CacheOptions(),  # noqa: B008 - frozen
        loaders: Mapping[str, BlockingFactory] = {},
    ) -> None:
        self._store = BlockingStore(target, channel, credentials, token=token, timeout=timeout)
        self._creating = BlockingCreating(self._store)
        self._loaders = Loaders(loaders)
        self._watcher = (
            ThreadWatcher(cache, self._store.watch, self._store.contact, self._loaders.scopes)
            if cache
            else None
        )
        if self._watcher:  # whose threads know nothing of the client: it may be forgotten
            finalize(self, self._watcher.end)
        forks.call_in_child(ContextClient._become_inherited, self)

    def __enter__(self) -> Self:
        """Nothing is sent before the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """End what is under way where the channel is the client's own, and close that."""
        self._store.contact.close()
        if self._watcher:
            self._watcher.close()
        self._store.close()

    def get(self, key: ContextKey, *, min_revision: int = 0) -> ContextEntry:
        """The live entry under a key, as it was put."""
        request = requests.get_request(key, min_revision=min_revision)
        return requests.entry_of(self._store.get(request))

    def batch_get(self, keys: Sequence[ContextKey]) -> list[ContextEntry | RelevoError]:
        """What `get` would return or raise for each key, in their order."""
        batch = requests.Batch(keys)
        while batch.waiting:
            batch.take(self._store.batch_get(batch.request()))
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
        """Write parts of a context into the live entry, and leave the rest."""
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
        factory: BlockingFactory,
        *,
        ttl: timedelta | float | None = None,
        timeout: float | None = None,
    ) -> ContextEntry:
        """The live entry, created by `factory(key)` where there is none.

        The factory runs in a thread of its own, without a current context.
        """
        deadline = Deadline.after(timeout)
        known = self._watcher.entry(key) if self._watcher else None
        if known:
            return known
        with suppress(NotFoundError):  # an entry that is there costs no thread
            return requests.entry_of(self._store.get(requests.get_request(key), deadline))
        load = self._creating.begin(key, factory, ttl)
        return self._created(key, load, deadline)

    def _created(
        self, key: ContextKey, load: Future[ContextEntry], deadline: Deadline
    ) -> ContextEntry:
        created = self._creating.wait(key, load, deadline)
        self._wrote(key.tenant_id, created.version)
        return created

    def resolve(
        self,
        target: ContextKey | ContextRef,
        *,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> ContextEntry:
        """The entry with its context composed from what it includes."""
        deadline = Deadline.after(timeout)
        ref = requests.ref_of(target)
        for _ in range(leases.ATTEMPTS):
            try:
                return self._resolve(ref, deadline, fresh=fresh)
            except (NotFoundError, IncompleteContextError) as error:
                missing = self._loaders.missing(ref.key, error)
                loads = {self._creating.begin(key, self._loaders.of(key)): key for key in missing}
                # One that fails decides, whatever the others do.
                done, others = wait(loads, deadline.remaining(), FIRST_EXCEPTION)
                made = [self._made(loads[load], load, deadline, error) for load in (*done, *others)]
            ref = replace(ref, revision=max(ref.revision, *(entry.version for entry in made)))
        return self._resolve(ref, deadline, fresh=fresh)

    def _resolve(self, ref: ContextRef, deadline: Deadline, *, fresh: bool) -> ContextEntry:
        known = None if fresh else self.peek(ref)
        if known:
            return known
        cached = not fresh and self._watcher is not None and self._watcher.missed(ref)
        request = requests.get_request(
            ref.key, min_revision=ref.revision, layers=True, cached=cached
        )
        response = self._store.get(request, deadline)
        versions = requests.versions_in(response)
        held = self._watcher.held(ref.key, versions) if self._watcher else None
        return requests.resolved(response, ref, held)

    def _made(
        self,
        key: ContextKey,
        load: Future[ContextEntry],
        deadline: Deadline,
        missing: RelevoError,
    ) -> ContextEntry:
        """What the scope's loader makes. Where it fails, the entry is still missing."""
        try:
            return self._created(key, load, deadline)
        except RelevoError:
            raise
        except Exception as error:
            leases.tell_failure(key, error)
            raise missing from error

    def snapshot(
        self, entry: ContextEntry, *, ttl: timedelta | float | None = None
    ) -> ContextEntry:
        """What an entry that was resolved is now, as an entry that nobody changes."""
        known = self._watcher.entry(entry.snapshot_key) if self._watcher else None
        if known:
            return known
        made = self._made_snapshot(snapshots.snapshot_of(entry), ttl)
        self._wrote(made.key.tenant_id, made.version)
        return made

    def _made_snapshot(self, snapshot: Snapshot, ttl: Lifetime) -> ContextEntry:
        """The snapshot as the store has it, whoever has made it."""
        for _ in range(leases.ATTEMPTS):
            try:
                return snapshot.written(self._store.put(snapshot.request(ttl)))
            except ConflictError:  # somebody else has made it
                with suppress(NotFoundError):  # and it has ended meanwhile
                    return self.get(snapshot.key)
        return self.get(snapshot.key)

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """What `resolve` would answer, where this client's cache knows it; else None."""
        if self._watcher is None:
            return None
        found = self._watcher.resolve(requests.ref_of(target))
        ageing = self._watcher.ageing()
        if ageing:
            self._creating.renew((*each, self._loaders.of(each[0])) for each in ageing)
        return found

    def last_known(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The copy that this client's cache had last, marked as `is_stale`; else None."""
        return self._watcher.last_known(requests.ref_of(target)) if self._watcher else None

    @property
    def cache_counts(self) -> CacheCounts:
        """What the cache has done so far; nothing where there is none."""
        return self._watcher.counts if self._watcher else CacheCounts()

    def _become_inherited(self) -> None:
        self._store.forked()
        if self._watcher:
            self._watcher.forked()

    def _put(self, key: ContextKey, request: store_pb2.PutRequest) -> ContextRef:
        ref = requests.put_ref(key, self._store.put(request))
        self._wrote(key.tenant_id, ref.revision)
        return ref

    def _wrote(self, tenant_id: str, revision: int) -> None:
        if self._watcher:
            self._watcher.wrote(tenant_id, revision)
