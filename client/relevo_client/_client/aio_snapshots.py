"""Makes and stores snapshots, on an event loop: a turn need not wait until one is stored."""

from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime
from functools import partial

from relevo_client._client.aio_compat import give_way
from relevo_client._client.aio_creation import aio_creation_result
from relevo_client._client.aio_flights import AsyncFlights
from relevo_client._client.cached_reads import is_expiring
from relevo_client._client.known_snapshots import KnownSnapshots, PutReports
from relevo_client._client.loaders import ATTEMPTS
from relevo_client._context import digest
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry, with_fence
from relevo_client._context.errors import ConflictError, NotFoundError
from relevo_client._context.keys import ContextKey
from relevo_client._context.riders import rider_of
from relevo_client._near_cache.aio import AsyncWatcher
from relevo_client._store import requests, snapshots
from relevo_client._store.aio import AsyncStore
from relevo_client._store.leases import Lifetime
from relevo_client._store.snapshots import Snapshot

CLOSING = 1.0
"""Seconds for which `close` waits for snapshots of turns that have just begun."""


class AsyncSnapshots:
    """The snapshots of one client."""

    def __init__(self, store: AsyncStore, watcher: AsyncWatcher | None) -> None:
        self._store = store
        self._watcher = watcher
        self._known = KnownSnapshots()
        self._reports = PutReports()
        # In empty context variables: a snapshot is not put for one caller.
        self._puts = AsyncFlights[ContextKey, ContextEntry]("relevo-snapshot", ambient=Context)

    async def close(self) -> None:
        """Wait a moment for the Puts in flight, whose turns rely on them, and end the others."""
        await self._puts.finish(Deadline.after(CLOSING))
        await self._puts.close()

    async def create(self, entry: ContextEntry, ttl: Lifetime) -> ContextEntry:
        """The stored snapshot of an entry; see `snapshot` of the client."""
        cached = self._cached(entry.snapshot_key)
        if cached:
            return cached
        created = await self._write(snapshots.snapshot_of(entry), ttl)
        if self._watcher:
            self._watcher.record_write(created.key.tenant_id, created.version)
        return created

    async def begin(self, source: ContextEntry, ttl: Lifetime, deadline: Deadline) -> ContextEntry:
        """The snapshot of an entry, for a turn that begins now. It is put in the background.

        Waits for the Put only if calls cannot do without it: they have no room for the snapshot,
        or the store signs references. A stale entry is never waited for.
        """
        if digest.is_digest(source.key):
            return source
        key = source.snapshot_key
        cached = self._cached(key)
        if cached:
            if self._watcher and self._watcher.is_ending(key):
                self._puts.begin(key, partial(self._put, source, ttl, renews=True))
            return with_fence(cached, source.revision)
        known = self._known.like(source)
        if known is None:
            known = snapshots.local_snapshot(source, ttl, datetime.now(UTC))
            self._known.keep(known)
            if source.is_stale:
                known = self._known.like(source) or known
        is_signed = _is_signed(known, source)
        if is_signed and self._known.stored(key):
            return known
        waits = not source.is_stale and not (is_signed and rider_of(known))
        put = self._puts.begin(key, partial(self._put, source, ttl, is_awaited=waits))
        if not waits:
            return known
        return with_fence(await aio_creation_result(put, key, deadline), source.revision)

    def received(self, stored: ContextEntry) -> ContextEntry:
        """Keep a snapshot that the store has answered, and watch it. Returns it."""
        self._known.keep(stored)
        if self._watcher:
            self._watcher.entry(stored.key)
        return stored

    def _cached(self, key: ContextKey) -> ContextEntry | None:
        """The stored snapshot under a key, if the near cache has it and calls may take it along."""
        cached = self._watcher.entry(key) if self._watcher else None
        return cached if cached and not is_expiring(cached.signature) else None

    async def _put(
        self, source: ContextEntry, ttl: Lifetime, *, is_awaited: bool = False, renews: bool = False
    ) -> ContextEntry:
        if not is_awaited:
            await give_way()
        known = self._known.stored(source.snapshot_key)
        if known and not renews and _is_signed(known, source):
            return known  # another Put has just ended
        snapshot = snapshots.snapshot_of(source)
        try:
            stored = await self._write(snapshot, ttl, renews=renews)
        except Exception as error:
            self._reports.failed(snapshot.key, error, is_awaited=is_awaited)
            raise
        self._reports.stored()
        self._known.keep(stored)
        return stored

    async def _write(
        self, snapshot: Snapshot, ttl: Lifetime, *, renews: bool = False
    ) -> ContextEntry:
        for _ in range(ATTEMPTS):
            try:
                request = snapshot.request(ttl, renews=renews)
                return snapshot.written(await self._store.put(request))
            except ConflictError:  # it exists already
                with suppress(NotFoundError):  # it has ended since
                    return await self._get(snapshot.key)
        return await self._get(snapshot.key)

    async def _get(self, key: ContextKey) -> ContextEntry:
        return requests.entry_of(await self._store.get(requests.get_request(key)))


def _is_signed(snapshot: ContextEntry, source: ContextEntry) -> bool:
    """Whether a snapshot has a signature that calls may take along, or the store signs none."""
    signature = snapshot.signature
    return not source.signature or (bool(signature) and not is_expiring(signature))
