"""Snapshots: immutable entries that keep the present state of a context.

A snapshot is named by a digest of its sources and of its composed context. Two processes that
make a snapshot of the same state make the same one, so they need no lease.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from relevo.v1 import store_pb2

from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry, snapshot_context, with_fence
from relevo_client._context.errors import IncompleteContextError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._store.leases import Lifetime
from relevo_client._store.requests import get_request, lifetime_of, put_request

DEFAULT_TTL = timedelta(minutes=30)
"""The time to live that the store gives a snapshot unless the Put or the store's settings say
otherwise."""


@dataclass(frozen=True)
class Snapshot:
    """A composed context, to be put under the key that is its digest."""

    key: ContextKey
    context: ExecutionContext
    """The composed context, without includes."""

    def request(self, ttl: Lifetime, *, renews: bool = False) -> store_pb2.PutRequest:
        """The Put request that creates the snapshot unless it exists already.

        With `renews` it is written again if it exists, so that its time to live begins anew.
        """
        return put_request(self.key, self.context, ttl=ttl, if_absent=not renews)

    def written(self, response: store_pb2.PutResponse) -> ContextEntry:
        """The entry of the snapshot, from the response to the Put."""
        entry = response.entry
        return ContextEntry(
            key=self.key,
            context=self.context,
            version=entry.version,
            revision=response.revision,
            partition=entry.partition,
            expire_time=entry.expire_time.ToDatetime(UTC),
            ttl=entry.ttl.ToTimedelta(),
            signature=entry.signature,
        )


def snapshot_of(entry: ContextEntry) -> Snapshot:
    """The snapshot of an entry. Raises IncompleteContextError if a layer is missing."""
    return Snapshot(entry.snapshot_key, snapshot_context(entry))


def local_snapshot(entry: ContextEntry, ttl: Lifetime, now: datetime) -> ContextEntry:
    """The entry of a snapshot as it is before the store has it.

    Its version is 0: it was not read from the store. Its revision, a fence, is that of the entry,
    and its time to live is what the Put asks for. It has no signature: only the store signs.

    Raises IncompleteContextError if a layer is missing.
    """
    lifetime = DEFAULT_TTL if ttl is None else lifetime_of(ttl)
    return ContextEntry(
        key=entry.snapshot_key,
        context=snapshot_context(entry),
        version=0,
        revision=entry.revision,
        partition=entry.partition,
        expire_time=now + lifetime,
        ttl=lifetime,
        is_stale=entry.is_stale,
        source=entry.source,
    )


def snapshot_request(ref: ContextRef, *, cached: bool, ttl: Lifetime) -> store_pb2.SnapshotRequest:
    """A Snapshot request for the entry of a reference; see `get_request`."""
    read = get_request(ref.key, min_revision=ref.revision, cached=cached)
    request = store_pb2.SnapshotRequest(
        key=read.key, min_revision=read.min_revision, consistency=read.consistency
    )
    if ttl is not None:
        request.ttl.FromTimedelta(lifetime_of(ttl))
    return request


def stored_snapshot(ref: ContextRef, response: store_pb2.SnapshotResponse) -> ContextEntry:
    """The entry of a snapshot, from the response to a Snapshot.

    Its revision is its version, or the fence if that is later. Raises IncompleteContextError if a
    layer is missing.
    """
    missing = [ContextKey.from_message(key).text for key in response.missing]
    if missing:
        raise IncompleteContextError(ref.key.text, missing)
    entry = entry_from_message(response.entry, response.entry.version)
    return with_fence(entry, ref.revision)
