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
