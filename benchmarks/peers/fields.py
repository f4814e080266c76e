"""Protobuf's wire format, for messages of contracts that are not ours."""


def field(number: int, data: bytes) -> bytes:
    """A serialized field of protobuf whose value is bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """A number of protobuf, seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
