"""The serialized messages of Watch streams, joined from parts that many streams share.

A message of one stream differs from that of another only in the number of the Subscribe that it
answers, and in the positions at its end. So an event is serialized once, and each stream appends
the rest: every singular field is written once, and fields are in order, as for entries.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from relevo.v1.store_pb2 import Batch, Position, Progress, WatchResponse

from relevo_server.wire.framing import number, tag, varint

_ENTRY = tag(WatchResponse.ENTRY_FIELD_NUMBER)
_PROGRESS = tag(WatchResponse.PROGRESS_FIELD_NUMBER)
_ANSWERS = number(WatchResponse.ANSWERS_FIELD_NUMBER)
_POSITIONS = tag(WatchResponse.POSITIONS_FIELD_NUMBER)
_POSITIONS_OF_PROGRESS = tag(Progress.POSITIONS_FIELD_NUMBER)
_BATCH = tag(WatchResponse.BATCH_FIELD_NUMBER)
_MESSAGE = tag(Batch.MESSAGES_FIELD_NUMBER)


class Place(NamedTuple):
    """A stream's progress in a partition: a `Position` of the contract."""

    partition: int
    revision: int
    ping: int = 0
    time: int = 0


place = lru_cache(4096)(Place)
"""The same object for all streams that are at the same place."""


def entry(serialized: bytes, answers: int = 0) -> bytes:
    """A WatchResponse with a serialized entry, which answers this Subscribe, or none if 0."""
    return b"".join((_ENTRY, varint(len(serialized)), serialized, answering(answers)))


def answering(answers: int) -> bytes:
    """The end of a WatchResponse that answers this Subscribe; b"" for 0, which is none."""
    return _ANSWERS + varint(answers) if answers else b""


def positions(places: Iterable[Place]) -> bytes:
    """The end of a WatchResponse that tells positions."""
    return _repeated(_POSITIONS, places)


def progress(places: Iterable[Place]) -> bytes:
    """A WatchResponse that tells nothing but positions."""
    content = _repeated(_POSITIONS_OF_PROGRESS, places)
    return b"".join((_PROGRESS, varint(len(content)), content))


def batch(messages: Sequence[bytes]) -> bytes:
    """One WatchResponse with all of these, in their order: a batch, or the only one.

    A gRPC message costs both sides about as much as ten values in it.
    """
    if len(messages) == 1:
        return messages[0]
    parts: list[bytes] = []
    for message in messages:
        parts += _MESSAGE, varint(len(message)), message
    content = b"".join(parts)
    return b"".join((_BATCH, varint(len(content)), content))


def _repeated(field: bytes, places: Iterable[Place]) -> bytes:
    return b"".join([part for place in places for part in (field, _position(place))])


@lru_cache(4096)
def _position(place: Place) -> bytes:
    """A serialized Position after its length. Many streams are at the same one."""
    content = Position(
        partition=place.partition, revision=place.revision, ping=place.ping, time=place.time
    ).SerializeToString()
    return varint(len(content)) + content
