"""Deeply nested values, and Puts with them that the protobuf library itself cannot build."""

from google.protobuf.struct_pb2 import Struct, Value
from relevo.v1.store_pb2 import (
    PutRequest,
)
from support.clients.calls import key


def nested(kind: str, depth: int) -> Value:
    """A value with this many levels."""
    value = Value(bool_value=True)
    for _ in range(depth):
        inner, value = value, Value()
        if kind == "list":
            value.list_value.values.add().CopyFrom(inner)
        else:
            value.struct_value.fields["a"].CopyFrom(inner)
    return value


def put_of(kind: str, depth: int) -> bytes:
    """A Put whose section has this many levels, including itself. Built from bytes, inside out."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 0x7F:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    value = Value(bool_value=True).SerializeToString()
    for _ in range(depth - 1):
        if kind == "list":
            value = field(6, field(1, value))  # Value.list_value, ListValue.values
        else:
            value = field(5, field(1, field(1, b"a") + field(2, value)))  # a Struct's entry
    section = field(1, field(1, b"a") + field(2, value))
    whole = PutRequest(key=key()).SerializeToString() + field(2, field(8, section))
    if depth < 20:  # the library builds the same, if it can
        inner = Struct(fields={"a": nested(kind, depth - 1)})
        assert PutRequest.FromString(whole).context.llm_config == inner
    return whole
