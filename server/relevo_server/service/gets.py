"""The answers of Gets, serialized: also those that a Put or a Lease brings along."""

from collections.abc import Coroutine, Sequence
from typing import Any

from relevo_server.keys import Key
from relevo_server.service.activity import BYTES, Activity
from relevo_server.service.reads import Reader, head_of
from relevo_server.storage.interface import Read, Storage, Stored
from relevo_server.wire import requests
from relevo_server.wire.entries import Entries


class Gets:
    """Answers reads of one entry, with its layers if that is asked for."""

    def __init__(
        self, storage: Storage, reader: Reader, entries: Entries, activity: Activity
    ) -> None:
        self._storage = storage
        self._reader = reader
        self._entries = entries
        self._activity = activity

    def answer(self, get: requests.Get) -> Coroutine[Any, Any, bytes] | bytes:
        """A serialized GetResponse, without waiting if the copies have the entry."""
        found = self._reader.from_copies(get)
        return self.response(get, *found) if found else self.from_store(get)

    async def from_store(self, get: requests.Get) -> bytes:
        """A serialized GetResponse from the store. Raises what a Get raises."""
        return self.response(get, *await self._reader.awaited(get))

    async def current(self, get: requests.Get, entry: Stored, revision: int) -> bytes:
        """The same for an entry that was just read as of a revision, and its layers."""
        if not self._entries.includes(get.key, entry):
            return self.response(get, Read(revision, [entry]), ())
        return await self.from_store(get._replace(min_revision=revision))

    def response(self, get: requests.Get, read: Read, layers: Sequence[Key]) -> bytes:
        """A serialized GetResponse for what was read. Raises what `head_of` raises."""
        key = get.key
        stored = head_of(get, read, layers, self._activity)
        row = self._activity.of(key.tenant_id)
        partition = self._storage.partition_of(key.tenant_id)
        is_known = stored.version == get.known_version
        if not is_known:
            row[BYTES] += stored.size
        if not (is_known or layers):
            return self._entries.get_response(key, partition, stored, read.revision)
        row[BYTES] += sum(layer.size for layer in read.entries[1:] if layer)
        found = (
            (layer, each) for layer, each in zip(layers, read.entries[1:], strict=True) if each
        )
        return self._entries.layered_response(
            partition, (key, stored), found, read.revision, not_modified=is_known
        )
