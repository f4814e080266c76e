"""Snapshots: what a context is now, as an entry that nobody changes.

An entry's composed context is decided by its own version and those of its layers, and
versions are never used twice. So the newest of them names it: whoever makes a snapshot of the
same state makes the same one, and no lease is needed for that.
"""

from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256

from relevo.v1 import store_pb2

from relevo_client._calls import composed, put_request
from relevo_client._keys import MAX_PART_BYTES, ContextKey
from relevo_client._leases import Lifetime
from relevo_client._messages import ContextEntry
from relevo_client._model import ExecutionContext, construct, unknown_of

SCOPE = "snapshot"


@dataclass(frozen=True)
class Snapshot:
    """What is to be there under its key."""

    key: ContextKey
    context: ExecutionContext
    """Composed: it includes nothing."""

    def request(self, ttl: Lifetime) -> store_pb2.PutRequest:
        """The Put that makes it, where it is not there."""
        return put_request(self.key, self.context, ttl=ttl, if_absent=True)

    def written(self, response: store_pb2.PutResponse) -> ContextEntry:
        """The entry that the Put has made."""
        entry = response.entry
        return ContextEntry(
            key=self.key,
            context=self.context,
            version=entry.version,
            revision=response.revision,
            partition=entry.partition,
            expire_time=entry.expire_time.ToDatetime(UTC),
            ttl=entry.ttl.ToTimedelta(),
        )


def key_of(entry: ContextEntry) -> ContextKey:
    """The key that a snapshot of an entry has: the same for as long as nothing in it changes."""
    newest = max([entry.version, *(layer.version for layer in entry.layers)])
    name = f"{entry.key.scope}.{entry.key.id}"
    if len(name.encode()) > MAX_PART_BYTES - len(".9223372036854775807"):
        name = sha256(name.encode()).hexdigest()
    return ContextKey(SCOPE, entry.key.tenant_id, f"{name}.{newest}")


def snapshot_of(entry: ContextEntry) -> Snapshot:
    """The snapshot of an entry. Raises IncompleteContextError where a layer is missing."""
    context = composed(entry).context
    whole = construct({**dict(context), "includes": ()}, unknown_of(context))
    return Snapshot(key_of(entry), whole)
