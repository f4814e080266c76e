# Generated from aio_resolver.py by `make twins`: edit that file, not this one.
"""Resolves what the near cache cannot answer: asks the store, and creates what is missing."""

from dataclasses import replace

from relevo_client._client.blocking_creation import Creation
from relevo_client._client.loaders import ATTEMPTS
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import IncompleteContextError, NotFoundError
from relevo_client._context.keys import ContextRef
from relevo_client._context.sources import ContextSource
from relevo_client._near_cache.blocking import Watcher
from relevo_client._store import requests
from relevo_client._store.blocking import Store
from relevo_client._telemetry.resolutions import Resolution


class Resolver:
    """Resolves contexts by the store and the loaders of one client."""

    def __init__(self, store: Store, watcher: Watcher | None, creation: Creation) -> None:
        self._store = store
        self._watcher = watcher
        self._creation = creation

    def resolve(
        self, ref: ContextRef, absence: NotFoundError | None, deadline: Deadline, *, fresh: bool
    ) -> ContextEntry:
        """The entry of a reference, its context composed; see `resolve` of the client.

        `absence` is the near cache's error if it knows that there is no entry: then the store is
        not asked before the entry is created.
        """
        missing: NotFoundError | IncompleteContextError | None = absence
        with Resolution(ContextSource.NEAR_CACHE if absence else ContextSource.STORE) as resolution:
            for _ in range(ATTEMPTS):
                if missing is None:
                    try:
                        return self._ask(ref, deadline, resolution.source, fresh=fresh)
                    except (NotFoundError, IncompleteContextError) as error:
                        missing = error
                created = self._creation.create_missing(ref.key, missing, deadline)
                resolution.source = ContextSource.LOADER
                revision = max(ref.revision, *(entry.version for entry in created))
                ref, missing = replace(ref, revision=revision), None
            return self._ask(ref, deadline, resolution.source, fresh=fresh)

    def _ask(
        self, ref: ContextRef, deadline: Deadline, source: ContextSource, *, fresh: bool
    ) -> ContextEntry:
        may_be_cached = not fresh and self._watcher is not None and self._watcher.record_miss(ref)
        request = requests.get_request(
            ref.key, min_revision=ref.revision, layers=True, cached=may_be_cached
        )
        response = self._store.get(request, deadline)
        versions = requests.versions_in(response)
        composition = (
            self._watcher.cached_composition(ref.key, versions, response.entry.signature)
            if self._watcher
            else None
        )
        return requests.resolved(response, ref, composition, source)
