"""The messages that a partition's events and answers become on Watch streams."""

from contextlib import suppress

from relevo.v1.store_pb2 import Invalidated, TenantSelector, WatchResponse

from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.storage.events import Event
from relevo_server.storage.interface import Stored
from relevo_server.wire.contexts import message_of
from relevo_server.wire.entries import Entries
from relevo_server.wire.opaque import WatchResponse as OpaqueResponse


class Messages:
    """Makes the messages of one partition."""

    def __init__(self, partition: int, entries: Entries) -> None:
        self._partition = partition
        self._entries = entries

    def value(self, key: Key, stored: Stored | None, revision: int) -> WatchResponse:
        """An entry with its context if there is one, else its invalidation."""
        if stored is not None and not stored.left_out:
            with suppress(StoreError):  # a broken record: the client's own read gets the error
                entry = self._entries.serialized(key, self._partition, stored, body=True)
                return OpaqueResponse(entry=entry)
        return self.invalidated(key, stored, revision)

    def invalidated(self, key: Key, stored: Stored | None, revision: int) -> WatchResponse:
        """The end of an entry's versions up to a revision, or to the one before `stored`."""
        if stored and stored.version > 0:
            revision = stored.version - 1
        invalidated = Invalidated(
            key=message_of(key),
            revision=revision,
            partition=self._partition,
            is_changed=stored is not None,
        )
        return WatchResponse(invalidated=invalidated)

    def changed(self, key: Key, number: int) -> WatchResponse:
        """The answer with this number after which a client asks the store for an entry."""
        invalidated = Invalidated(key=message_of(key), partition=self._partition, is_changed=True)
        return WatchResponse(invalidated=invalidated, answers=number)

    def floor(self, event: Event) -> WatchResponse:
        """The end of all entries of a tenant, or of one of its scopes."""
        tenant = TenantSelector(tenant_id=event.tenant_id, scope=event.scope)
        invalidated = Invalidated(tenant=tenant, revision=event.revision, partition=self._partition)
        return WatchResponse(invalidated=invalidated)
