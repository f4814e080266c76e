"""Recognises contexts whose sections keep the rules, in a few steps of protobuf's own.

To look at each value in Python takes half of the time that it takes to read a Put. So there is
another definition of a context, in which sections are nested to a few levels only, and each value
has a known kind. What a context has beyond that are unknown fields, which protobuf drops: then
bytes are missing. Two kinds of broken values remain, and both show in the bytes.

What is not recognised may keep the rules all the same: `sections` looks at each value then.
"""

import re
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from relevo.v1.context_pb2 import ExecutionContext

_LEVELS = 16
"""Levels of structs and lists, the section included. A level takes up to three levels of messages,
and protobuf drops the unknown fields of 64."""
_PACKAGE = "relevo.recognition"
_Type = FieldDescriptorProto

_NOT_FINITE = re.compile(rb"\x11.{6}[\xf0-\xff][\x7f\xff]", re.DOTALL)
"""A number_value in bytes that protobuf has written, if all bits of its exponent are set."""
_IN_STRUCT, _IN_LIST = b"\x12\x00", b"\n\x00"
"""A value without a kind, in a struct and in a list."""


def is_recognised(context: bytes) -> bool:
    """Whether a context keeps the rules of sections. False if that has to be looked at.

    `context` must be as protobuf writes it: each field once, tags and lengths as short as possible.
    """
    try:
        parsed = _Recognised.FromString(context)
    except DecodeError:
        return False
    parsed.DiscardUnknownFields()
    return (
        parsed.ByteSize() == len(context)
        # Other bytes rarely look like these.
        and _IN_STRUCT not in context
        and _IN_LIST not in context
        and not _NOT_FINITE.search(context)
    )


def _field(
    name: str, number: int, kind: int | str, *, is_repeated: bool = False
) -> FieldDescriptorProto:
    """A field of a scalar type, or of a message by its name."""
    label = _Type.LABEL_REPEATED if is_repeated else _Type.LABEL_OPTIONAL
    if isinstance(kind, str):
        message = f".{_PACKAGE}.{kind}"
        return _Type(
            name=name, number=number, label=label, type=_Type.TYPE_MESSAGE, type_name=message
        )
    return _Type(name=name, number=number, label=label, type=_Type.Type.ValueType(kind))


def _of_level(level: int) -> list[DescriptorProto]:
    """The messages of google/protobuf/struct.proto at a level. Those of the last have no others."""
    kinds = [
        _field("null_value", 1, _Type.TYPE_INT32),
        _field("number_value", 2, _Type.TYPE_DOUBLE),
        _field("string_value", 3, _Type.TYPE_BYTES),
        _field("bool_value", 4, _Type.TYPE_BOOL),
    ]
    if level < _LEVELS:
        kinds.append(_field("struct_value", 5, f"Struct{level + 1}"))
        kinds.append(_field("list_value", 6, f"List{level + 1}"))
    entry = [_field("key", 1, _Type.TYPE_BYTES), _field("value", 2, f"Value{level}")]
    return [
        DescriptorProto(name=f"Value{level}", field=kinds),
        DescriptorProto(name=f"Entry{level}", field=entry),
        DescriptorProto(
            name=f"Struct{level}", field=[_field("fields", 1, f"Entry{level}", is_repeated=True)]
        ),
        DescriptorProto(
            name=f"List{level}", field=[_field("values", 1, f"Value{level}", is_repeated=True)]
        ),
    ]


def _context_class() -> Any:
    """The class of contexts whose sections are so nested. All other fields are bytes."""
    fields = [
        _field(
            each.name,
            each.number,
            "Struct1" if each.message_type is Struct.DESCRIPTOR else _Type.TYPE_BYTES,
            is_repeated=each.is_repeated,
        )
        for each in ExecutionContext.DESCRIPTOR.fields
    ]
    messages = [each for level in range(1, _LEVELS + 1) for each in _of_level(level)]
    pool = DescriptorPool()
    pool.Add(
        FileDescriptorProto(
            name="relevo/recognition.proto",
            package=_PACKAGE,
            syntax="proto2",
            message_type=[DescriptorProto(name="Context", field=fields), *messages],
        )
    )
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Context"))


_Recognised = _context_class()
