"""A client as strict as a protobuf library may be: it merges no fields, and skips none.

protobuf allows readers to merge duplicate fields, skip unknown ones, and accept any order. Not
every library does all of that (protobufjs keeps the last of two messages), so the server must
not rely on it.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from grpc import aio

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: _FIXED64,
    FieldDescriptor.TYPE_FIXED64: _FIXED64,
    FieldDescriptor.TYPE_SFIXED64: _FIXED64,
    FieldDescriptor.TYPE_FLOAT: _FIXED32,
    FieldDescriptor.TYPE_FIXED32: _FIXED32,
    FieldDescriptor.TYPE_SFIXED32: _FIXED32,
    FieldDescriptor.TYPE_STRING: _LENGTH,
    FieldDescriptor.TYPE_BYTES: _LENGTH,
    FieldDescriptor.TYPE_MESSAGE: _LENGTH,
}

_Answer = TypeVar("_Answer", bound=Message)


class NotStrictError(AssertionError):
    """Raised for bytes that a strict reader refuses, with the field's path and the reason."""


def check(data: bytes, kind: type[Message], *, in_order: bool = True) -> list[str]:
    """Check a serialized message, and return the paths of its unknown fields.

    Raises NotStrictError if a singular field or two fields of one oneof occur twice, if known
    fields are not `in_order`, or if anything else contradicts the descriptor.
    """
    descriptor: Any = kind.DESCRIPTOR
    return _check(data, descriptor, "", in_order)


def _check(data: bytes, descriptor: Descriptor, path: str, in_order: bool) -> list[str]:
    unknown: list[str] = []
    seen: set[int] = set()
    oneofs: set[str] = set()
    last = 0
    for number, wire_type, value in _fields(data, path or descriptor.name):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            unknown.append(f"{path}#{number}")
            continue
        here = f"{path}.{field.name}" if path else field.name
        if wire_type != _WIRE_TYPES.get(field.type, _VARINT):
            raise NotStrictError(f"{here}: wire type {wire_type}")
        if number in seen and not field.is_repeated:
            raise NotStrictError(f"{here}: is there twice")
        if in_order and number < last:
            raise NotStrictError(f"{here}: comes after field {last}")
        oneof = field.containing_oneof
        if oneof and number not in seen:
            if oneof.name in oneofs:
                raise NotStrictError(f"{here}: is not the only one of {oneof.name}")
            oneofs.add(oneof.name)
        seen.add(number)
        last = number
        if field.message_type:
            unknown += _check(value, field.message_type, here, in_order)
        elif field.type == FieldDescriptor.TYPE_STRING:
            value.decode()
    return unknown


def _fields(data: bytes, path: str) -> Iterator[tuple[int, int, bytes]]:
    """The number and wire type of each field, and its bytes if it has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, path)
        number, wire_type = tag >> 3, tag & 7
        value = b""
        match wire_type:
            case 0:
                _, at = _varint(data, at, path)
            case 1 | 5:
                at += 8 if wire_type == _FIXED64 else 4
            case 2:
                size, at = _varint(data, at, path)
                value = data[at : at + size]
                at += size
            case _:
                raise NotStrictError(f"{path}: a group, or no field at all")
        if at > len(data):
            raise NotStrictError(f"{path}: ends within a field")
        yield number, wire_type, value


def _varint(data: bytes, at: int, path: str) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotStrictError(f"{path}: ends within a number")


class StrictChannel:
    """A channel for generated stubs that checks all responses.

    gRPC only logs a deserializer's errors and returns None, so they are recorded here too.
    """

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self.problems: list[NotStrictError] = []

    def unary_unary(self, method: str, *, response_deserializer: Any, **rest: Any) -> Any:
        """A unary method."""
        checked = self._checked(response_deserializer)
        return self._channel.unary_unary(method, response_deserializer=checked, **rest)

    def unary_stream(self, method: str, *, response_deserializer: Any, **rest: Any) -> Any:
        """A method that answers with a stream."""
        checked = self._checked(response_deserializer)
        return self._channel.unary_stream(method, response_deserializer=checked, **rest)

    def stream_stream(self, method: str, *, response_deserializer: Any, **rest: Any) -> Any:
        """A method with streams in both directions."""
        checked = self._checked(response_deserializer)
        return self._channel.stream_stream(method, response_deserializer=checked, **rest)

    def _checked(self, read: Callable[[bytes], _Answer]) -> Callable[[bytes], _Answer]:
        def checked(data: bytes) -> _Answer:
            answer = read(data)
            try:
                check(data, type(answer))  # unknown fields of a newer contract are allowed
            except NotStrictError as problem:
                self.problems.append(problem)
            return answer

        return checked
