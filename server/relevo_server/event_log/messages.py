"""The messages that a partition's events and answers become on Watch streams.

A message is serialized once, whatever the number of streams that get it.
"""

from contextlib import suppress
from typing import NamedTuple, Self

from relevo.v1.store_pb2 import Invalidated, TenantSelector, WatchResponse

from relevo_server.errors import StoreError
from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.storage.events import Event
from relevo_server.storage.interface import Stored
from relevo_server.wire import pushes
from relevo_server.wire.contexts import message_of
from relevo_server.wire.entries import Entries


@hides("body")
class Message(NamedTuple):
    """A message for one stream, or the same object for many."""

    body: bytes
    """The serialized WatchResponse. A stream may append positions to it."""
    key: Key | None = None
    """The key that it is about; None if it is about several, or a partition."""
    is_value: bool = False
    """Whether it waits in the room for values: an answer, or an entry with its context."""
    answers: int = 0
    """The number of the Subscribe that it answers, 0 for an event."""

    @classmethod
    def of(cls, response: WatchResponse, key: Key | None = None, *, is_value: bool = False) -> Self:
        """The message of a response without positions."""
        return cls(response.SerializeToString(), key, is_value, response.answers)


class Messages:
    """Makes the messages of one partition."""

    def __init__(self, partition: int, entries: Entries) -> None:
        self._partition = partition
        self._entries = entries

    def entry(self, key: Key, stored: Stored | None, answers: int = 0) -> Message | None:
        """An entry with its context. None if there is none, it was left out, or is broken."""
        if stored is not None and not stored.left_out:
            with suppress(StoreError):  # a broken record: the client's own read gets the error
                entry = self._entries.serialized(key, self._partition, stored, body=True)
                return Message(pushes.entry(entry, answers), key, is_value=True, answers=answers)
        return None

    def answer(self, key: Key, stored: Stored | None, revision: int, answers: int) -> Message:
        """The answer to a Subscribe with the state of its key as of a revision."""
        found = self.entry(key, stored, answers) or self.ended(key, stored, revision, answers)
        return found._replace(is_value=True)  # its room was reserved among values

    def ended(self, key: Key, stored: Stored | None, revision: int, answers: int = 0) -> Message:
        """The end of an entry's versions up to a revision, or to the one before `stored`."""
        if stored and stored.version > 0:
            revision = stored.version - 1
        invalidated = Invalidated(
            key=message_of(key),
            revision=revision,
            partition=self._partition,
            is_changed=stored is not None,
        )
        return Message.of(WatchResponse(invalidated=invalidated, answers=answers), key)

    def floor(self, event: Event) -> Message:
        """The end of all entries of a tenant, or of one of its scopes."""
        tenant = TenantSelector(tenant_id=event.tenant_id, scope=event.scope)
        invalidated = Invalidated(tenant=tenant, revision=event.revision, partition=self._partition)
        return Message.of(WatchResponse(invalidated=invalidated))
