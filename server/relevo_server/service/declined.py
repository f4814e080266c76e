"""The keys of a Watch stream that its client asks the store for, each time that it needs them.

A stream has subscriptions of many keys, so what concerns one key never ends it. A Subscribe that
cannot be had is answered with the same message whatever the reason is, and whether there is an
entry or not: it has no value, no version, and no progress of the partition.
"""

from relevo.v1.store_pb2 import Invalidated, WatchResponse

from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key
from relevo_server.revisions import MAX_REVISION
from relevo_server.wire.contexts import message_of


class Declined:
    """The declined keys of the stream with this outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def add(self, partition: int, key: Key, number: int) -> None:
        """Answer the Subscribe with this number, or end the client's copy of the key if it is 0."""
        self._outbox.declined.add(partition)
        invalidated = Invalidated(key=message_of(key), partition=partition, is_changed=True)
        if not number:
            invalidated.revision = MAX_REVISION  # whatever version the client has
        self._outbox.put(Message.of(WatchResponse(invalidated=invalidated, answers=number), key))

    def pong(self, ping: int) -> None:
        """Answer a ping, if the stream has no subscription whose follower does.

        Otherwise the client would take the stream for dead, and open another one again and again.
        The answer says nothing of the partition: the client may have no right to know when it
        changes.
        """
        if self._outbox.declined and not self._outbox.partitions:
            self._outbox.progress(min(self._outbox.declined), 0, ping, soon=False)
