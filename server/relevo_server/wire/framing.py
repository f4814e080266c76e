"""The framing of protobuf's wire format: the bytes before the content of a message field.

https://protobuf.dev/programming-guides/encoding/
"""

from functools import lru_cache


@lru_cache(4096)
def varint(number: int) -> bytes:
    """The variable-width form of a number from 0."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def tag(field: int) -> bytes:
    """The tag of a message field, which precedes its length."""
    return varint(field << 3 | 2)


def message_in(serialized: bytes, tag: bytes, begin: int = 0) -> tuple[int, int] | None:
    """Where the content of the message field is whose tag is at `begin`; None if it is not there.

    The bytes must be well formed.
    """
    if not serialized.startswith(tag, begin):
        return None
    begin += len(tag)
    length = shift = 0
    while (byte := serialized[begin]) > 0x7F:
        length |= (byte & 0x7F) << shift
        shift += 7
        begin += 1
    begin += 1
    return begin, begin + (length | byte << shift)


def number(field: int) -> bytes:
    """The tag of an integer field, which precedes its variable-width form."""
    return varint(field << 3)
