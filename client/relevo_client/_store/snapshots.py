"""Snapshots: immutable entries that keep the present state of a context.

A snapshot is named by a digest of its sources and of its composed context. Two processes that
make a snapshot of the same state make the same one, so they need no lease.
"""

from dataclasses import dataclass
from datetime import UTC

from relevo.v1 import store_pb2

from relevo_client._context.entry import ContextEntry, snapshot_context
from relevo_client._context.keys import ContextKey
from relevo_client._context.model import ExecutionContext
from relevo_client._store.leases import Lifetime
from relevo_client._store.requests import put_request


@dataclass(frozen=True)
class Snapshot:
    """A composed context, to be put under the key that is its digest."""

    key: ContextKey
    context: ExecutionContext
    """The composed context, without includes."""

    def request(self, ttl: Lifetime) -> store_pb2.PutRequest:
        """The Put request that creates the snapshot unless it exists already."""
        return put_request(self.key, self.context, ttl=ttl, if_absent=True)

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
