"""Snapshots: an entry is composed, named by its digest, and written, in one step for the caller."""

from collections.abc import Sequence

from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import SnapshotResponse

from relevo_server import errors, revisions
from relevo_server.errors import Reason, StoreError
from relevo_server.keys import Key
from relevo_server.service.activity import BYTES, Activity
from relevo_server.service.reads import Reader, head_of
from relevo_server.service.writes import Writer
from relevo_server.storage.interface import ABSENT, Read, Storage, Stored
from relevo_server.wire import opaque, requests
from relevo_server.wire.composition import compose
from relevo_server.wire.contexts import message_of
from relevo_server.wire.digests import is_digest, key_of_snapshot
from relevo_server.wire.entries import Entries, parse, serialize

_ATTEMPTS = 3


class Snapshots:
    """Answers the snapshots of entries."""

    def __init__(
        self,
        storage: Storage,
        reader: Reader,
        writer: Writer,
        entries: Entries,
        activity: Activity,
    ) -> None:
        self._storage = storage
        self._reader = reader
        self._writer = writer
        self._entries = entries
        self._activity = activity

    async def answer(self, snapshot: requests.Snapshot) -> SnapshotResponse:
        """The snapshot of an entry with its layers, or what it lacks.

        Raises what a Get with layers and a Put raise.
        """
        get = snapshot.get
        key = get.key
        read, layers = self._reader.from_copies(get) or await self._reader.from_store(get)
        head = head_of(get, read, layers, self._activity)
        missing = [
            layer for layer, found in zip(layers, read.entries[1:], strict=True) if found is None
        ]
        if missing:
            return SnapshotResponse(missing=map(message_of, missing), revision=read.revision)
        if not is_digest(key):
            composed = _composed(key, layers, read)
            key = key_of_snapshot(key.tenant_id, composed)
            head = await self._written(key, serialize(composed), snapshot)
        self._activity.of(key.tenant_id)[BYTES] += head.size
        partition = self._storage.partition_of(key.tenant_id)
        return opaque.SnapshotResponse(
            entry=self._entries.serialized(key, partition, head, body=True),
            revision=max(read.revision, head.version),
        )

    async def _written(self, key: Key, context: bytes, snapshot: requests.Snapshot) -> Stored:
        """The snapshot under its key, written if there is none."""
        put = requests.Put(
            key, context, snapshot.ttl_ms, ABSENT, "", None, principal=snapshot.principal
        )
        for _ in range(_ATTEMPTS):
            try:
                version, created, ttl_ms = await self._writer.put(put)
            except StoreError as error:
                if error.reason is not Reason.ENTRY_EXISTS:
                    raise
            else:
                return Stored(version, created, ttl_ms, context)
            found = (await self._storage.read([key])).entries[0]
            if found:
                return found
        raise errors.contention(key)


def _composed(key: Key, layers: Sequence[Key], read: Read) -> ExecutionContext:
    """The context of a snapshot: without includes, and with what it was composed from."""
    found = [each for each in read.entries if each]  # none is missing
    head, *below = map(parse, (key, *layers), found)
    composed = compose([*below, head])
    if not composed.HasField("create_time"):
        composed.create_time.FromMilliseconds(revisions.milliseconds(found[0].created))
    del composed.includes[:]
    del composed.composed_from[:]
    for part, stored in zip((key, *layers), found, strict=True):
        composed.composed_from.add(key=message_of(part), revision=stored.version)
    return composed
