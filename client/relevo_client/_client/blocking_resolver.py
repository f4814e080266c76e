# Generated from aio_resolver.py by `make twins`: edit that file, not this one.
"""Resolves what the near cache cannot answer: asks the store, and creates what is missing."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from relevo.v1 import store_pb2

from relevo_client._client.blocking_creation import Creation, Factory
from relevo_client._client.loaders import ATTEMPTS
from relevo_client._context import digest
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    AccessDeniedError,
    IncompleteContextError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
)
from relevo_client._context.fences import fenced, raise_fence, seen
from relevo_client._context.keys import ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._context.sources import ContextSource
from relevo_client._near_cache.blocking import Watcher
from relevo_client._store import requests, snapshots
from relevo_client._store.blocking import Store
from relevo_client._store.leases import Lifetime
from relevo_client._telemetry.resolutions import Resolution

_OLDER = 60.0
"""Seconds for which a store that knows no Snapshot is not asked for one again."""


Ask: TypeAlias = Callable[[ContextRef, Deadline, ContextSource], ContextEntry]
"""Asks the store for the entry of a reference, whose source it is told."""


class Resolver:
    """Resolves contexts by the store and the loaders of one client."""

    def __init__(self, store: Store, watcher: Watcher | None, creation: Creation) -> None:
        self._store = store
        self._watcher = watcher
        self._creation = creation
        self._is_older_until = 0.0

    def resolve(
        self,
        ref: ContextRef,
        absence: NotFoundError | None,
        deadline: Deadline,
        *,
        fresh: bool,
        begin: Factory | None = None,
    ) -> ContextEntry:
        """The entry of a reference, its context composed; see `resolve` of the client.

        `absence` is the near cache's error if it knows that there is no entry: then the store is
        not asked before the entry is created.
        """
        ask: Ask = partial(self._ask, fresh=fresh)
        create = self._creating(ask, begin, ref)
        if create:
            # The Lease itself reads an existing entry.
            ask, absence = partial(self._begin_or_ask, ask, create), None
        return self._resolve(ask, ref, absence, deadline, begins=create is not None)

    def snapshot(
        self,
        ref: ContextRef,
        absence: NotFoundError | None,
        deadline: Deadline,
        *,
        fresh: bool,
        ttl: Lifetime,
        begin: Factory | None,
    ) -> ContextEntry:
        """The stored snapshot of a reference's context, in one step at the store.

        A store of an older release knows no such step: then it is the entry, as `resolve` returns
        it. `begin` creates a missing entry.
        """
        ask: Ask = partial(self._ask_for_snapshot, fresh=fresh, ttl=ttl)
        create = self._creating(ask, begin, ref)
        if create:
            ask, absence = create if absence else partial(self._ask_or_begin, ask, create), None
        return self._resolve(ask, ref, absence, deadline, begins=create is not None)

    def _creating(self, ask: Ask, begin: Factory | None, ref: ContextRef) -> Ask | None:
        """The `ask` that creates the entry if it does not exist; None if nothing may create it.

        A snapshot is never begun: one that is not there yet may be on its way.
        """
        if begin is None or digest.is_digest(ref.key):
            return None
        return partial(self._begin, ask, begin)

    def _resolve(
        self,
        ask: Ask,
        ref: ContextRef,
        absence: NotFoundError | None,
        deadline: Deadline,
        *,
        begins: bool,
    ) -> ContextEntry:
        """The entry as `ask` returns it; what is missing is created by loaders.

        `begins` is whether `ask` creates the entry itself.
        """
        missing: NotFoundError | IncompleteContextError | None = absence
        with Resolution(ContextSource.NEAR_CACHE if absence else ContextSource.STORE) as resolution:
            for _ in range(ATTEMPTS):
                if missing is None:
                    try:
                        entry = ask(ref, deadline, resolution.source)
                    except (NotFoundError, IncompleteContextError) as error:
                        if begins and isinstance(error, NotFoundError):
                            raise
                        missing = error
                    else:
                        resolution.source = entry.source
                        return entry
                created = self._creation.create_missing(ref.key, missing, deadline)
                resolution.source = ContextSource.LOADER
                ref, missing = _as_of(ref, *(entry.version for entry in created)), None
            return ask(ref, deadline, resolution.source)

    def _ask_or_begin(
        self, ask: Ask, create: Ask, ref: ContextRef, deadline: Deadline, source: ContextSource
    ) -> ContextEntry:
        """The entry as `ask` returns it, or, if it does not exist, as `create` does.

        A store that has lost its data is behind each fence until somebody writes.
        """
        try:
            return ask(ref, deadline, source)
        except NotFoundError:
            return create(ref, deadline, source)
        except StoreBehindError as behind:
            try:
                return create(ref, deadline, source)
            except AccessDeniedError:
                raise behind from None

    def _begin_or_ask(
        self, ask: Ask, create: Ask, ref: ContextRef, deadline: Deadline, source: ContextSource
    ) -> ContextEntry:
        """The entry as `create` returns it; who may not create it may still read it."""
        try:
            return create(ref, deadline, source)
        except AccessDeniedError as denied:
            try:
                return ask(ref, deadline, source)
            except NotFoundError:
                raise denied from None

    def _begin(
        self,
        ask: Ask,
        factory: Factory,
        ref: ContextRef,
        deadline: Deadline,
        source: ContextSource,
    ) -> ContextEntry:
        """The entry, created with the factory if it does not exist, and composed."""
        begun = self._creation.begin(ref.key, factory, deadline)
        if begun.is_new:
            source = ContextSource.LOADER
        ref = _as_of(ref, begun.version)
        if begun.current and begun.current.revision >= fenced(ref).revision:
            return self._resolved(fenced(ref), begun.current, source)
        return ask(ref, deadline, source)

    def _ask_for_snapshot(
        self,
        ref: ContextRef,
        deadline: Deadline,
        source: ContextSource,
        *,
        fresh: bool,
        ttl: Lifetime,
    ) -> ContextEntry:
        if digest.is_digest(ref.key) or time.monotonic() < self._is_older_until:
            return self._ask(ref, deadline, source, fresh=fresh)
        may_be_cached = self._may_be_cached(ref, fresh=fresh)
        fence = fenced(ref)
        request = snapshots.snapshot_request(fence, cached=may_be_cached, ttl=ttl)
        try:
            response = self._store.snapshot(request, deadline)
        except RelevoError as error:
            if error.reason not in (Reason.UNIMPLEMENTED, Reason.NOT_IMPLEMENTED):
                raise
            self._is_older_until = time.monotonic() + _OLDER
            return self._ask(ref, deadline, source, fresh=fresh)
        entry = snapshots.stored_snapshot(fence, response)
        raise_fence(ref.key.tenant_id, max(each.revision for each in entry.context.composed_from))
        return replace(entry, source=source)

    def _may_be_cached(self, ref: ContextRef, *, fresh: bool) -> bool:
        """Whether a server may answer from its memory. Records the miss in the near cache."""
        # By the reference's own revision: a key alone asks for the store's present state.
        return not fresh and self._watcher is not None and self._watcher.record_miss(ref)

    def _ask(
        self, ref: ContextRef, deadline: Deadline, source: ContextSource, *, fresh: bool
    ) -> ContextEntry:
        may_be_cached = self._may_be_cached(ref, fresh=fresh)
        ref = fenced(ref)
        request = requests.get_request(
            ref.key, min_revision=ref.revision, layers=True, cached=may_be_cached
        )
        return self._resolved(ref, self._store.get(request, deadline), source)

    def _resolved(
        self, ref: ContextRef, response: store_pb2.GetResponse, source: ContextSource
    ) -> ContextEntry:
        """The composed entry for a reference, from what the store has answered."""
        versions = requests.versions_in(response)
        composition = (
            self._watcher.cached_composition(ref.key, versions, response.entry.signature)
            if self._watcher
            else None
        )
        return seen(requests.resolved(response, ref, composition, source))


def _as_of(ref: ContextRef, *versions: int) -> ContextRef:
    """The reference, as of these versions or later."""
    return replace(ref, revision=max(ref.revision, *versions))
