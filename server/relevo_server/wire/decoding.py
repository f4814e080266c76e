"""Protobuf's requests from the bytes that clients send.

Bytes that do not decode end a call as any other malformed request does: INVALID_ARGUMENT, with
the path of what is wrong as far as it can be found. They are decoded here and not by gRPC, which
would decode them before the caller is known, and end the call as UNKNOWN with an exception's text.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct

from relevo_server import errors
from relevo_server.errors import Violation
from relevo_server.wire import opaque, sections

UNREADABLE = "request", "cannot be read as what the method takes"
"""The violation of bytes in which nothing more precise is found."""
_MAX_REPEATED = 100
"""The most values of a repeated field that are examined. A request that keeps the rules has no
more."""
_MAX_SEARCHED = 256 << 10
"""Bytes. In a larger request, no section is searched for values that it must not hold: that takes
far longer than to decode it, and such a request is refused in any case."""

MAX_LIST_BYTES = 256 << 10
"""The most bytes of a request with a list, a Put excepted. A hundred items of the greatest length
take a third of it. Two bytes of such a request may become an item that takes sixty in memory."""

_Request = TypeVar("_Request", bound=Message)


def decoder(kind: type[_Request], most: int | None = None) -> Callable[[bytes], _Request]:
    """A function that decodes a request. It raises INVALID_ARGUMENT if the bytes are malformed.

    `most` is the greatest size in bytes of a request that is decoded, None for any.
    """
    descriptor: Any = kind.DESCRIPTOR

    def decode(serialized: bytes) -> _Request:
        if most is not None and len(serialized) > most:
            raise too_long(len(serialized), most)
        try:
            return kind.FromString(serialized)
        except DecodeError:
            is_searched = len(serialized) <= _MAX_SEARCHED
            found = _problems(descriptor, serialized, "", is_searched=is_searched)
            problems = list(islice(found, _MAX_REPEATED))
        raise errors.invalid(problems or [UNREADABLE])

    return decode


def too_long(size: int, most: int) -> errors.StoreError:
    """INVALID_ARGUMENT: a request has too many bytes to be decoded."""
    return errors.invalid([("request", f"has {size} bytes, at most {most} are allowed")])


def only(kind: type[_Request], serialized: bytes, *fields: str) -> Any:
    """A serialized message with these fields only. Their inner messages and texts are bytes.

    Raises INVALID_ARGUMENT if the message cannot be read.
    """
    descriptor: Any = kind.DESCRIPTOR
    shallow = opaque.shallow(descriptor)
    try:
        whole = shallow.FromString(serialized)
    except DecodeError:
        raise errors.invalid([UNREADABLE]) from None
    return shallow(**{name: getattr(whole, name) for name in fields})


def _problems(
    kind: Descriptor, serialized: bytes, path: str, *, is_searched: bool
) -> Iterator[Violation]:
    """The broken fields of bytes that do not decode: level by level, from outside to inside.

    Each level is decoded with its inner messages and texts as bytes. `is_searched` says whether
    the values of sections are examined too.
    """
    try:
        shallow = opaque.shallow(kind).FromString(serialized)
    except DecodeError:
        if path:
            yield path, "cannot be read as what the field holds"
        return
    for field, here, value in _parts(shallow, kind, path):
        if field.message_type is None:
            if not _is_text(value):
                yield here, "must be UTF-8"
        elif opaque.is_of_contract(field.message_type):
            yield from _problems(field.message_type, value, here, is_searched=is_searched)
        else:
            yield from _problems_of_other(field.message_type, value, here, is_searched=is_searched)


def _problems_of_other(
    kind: Descriptor, serialized: bytes, path: str, *, is_searched: bool
) -> Iterator[Violation]:
    """The same for a message that is not of the contract, such as a Struct."""
    try:
        message = GetMessageClass(kind).FromString(serialized)
    except DecodeError:
        text = "cannot be read as what the field holds"
        if kind is Struct.DESCRIPTOR:
            text += f", or is nested deeper than {sections.MAX_DEPTH} levels"
        yield path, text
        return
    if is_searched and isinstance(message, Struct):
        yield from sections.problems(message, path)


def _parts(
    shallow: Any, kind: Descriptor, path: str
) -> Iterator[tuple[FieldDescriptor, str, bytes]]:
    """The inner messages and texts of a message, each with its path."""
    for field in kind.fields:
        if field.message_type is None and field.type != FieldDescriptor.TYPE_STRING:
            continue
        here = f"{path}.{field.name}" if path else field.name
        value: Any = getattr(shallow, field.name)
        if field.is_repeated:
            items: Iterable[bytes] = value[:_MAX_REPEATED]
            for i, item in enumerate(items):
                yield field, f"{here}[{i}]", item
        else:
            yield field, here, value


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
