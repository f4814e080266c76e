"""Batches: several serialized WatchResponses in one, joined from their bytes.

A gRPC message costs both sides about as much as ten values in it.
"""

from collections.abc import Sequence

from relevo.v1.store_pb2 import Batch, WatchResponse

from relevo_server.wire.framing import tag, varint

_BATCH = tag(WatchResponse.BATCH_FIELD_NUMBER)
_MESSAGE = tag(Batch.MESSAGES_FIELD_NUMBER)


def joined(messages: Sequence[bytes]) -> bytes:
    """One serialized WatchResponse with all of these, in their order: a batch, or the only one."""
    if len(messages) == 1:
        return messages[0]
    parts: list[bytes] = []
    for message in messages:
        parts += _MESSAGE, varint(len(message)), message
    batch = b"".join(parts)
    return b"".join((_BATCH, varint(len(batch)), batch))
