"""Responses that hold entries and contexts as bytes.

On the wire, a message within a message looks like a bytes field
(https://protobuf.dev/programming-guides/encoding/#submessages). So this module has the
messages of `relevo.v1` once more, with bytes fields in place of the inner messages.
Clients see no difference, and the server passes contexts on without parsing and
serializing them, which would cost more than the rest of a Get.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from relevo.admin.v1 import admin_pb2
from relevo.v1 import store_pb2

_OPAQUE = frozenset(
    f".relevo.v1.{name}" for name in ("ContextEntry", "ExecutionContext", "GetResponse")
)

_PACKAGES = frozenset((store_pb2.DESCRIPTOR.package, admin_pb2.DESCRIPTOR.package))

_IsOpaque = Callable[[FieldDescriptorProto], bool]


def is_of_contract(kind: Descriptor) -> bool:
    """Whether a message is Relevo's own, and not of protobuf's."""
    return kind.file.package in _PACKAGES


def _pool(is_opaque: _IsOpaque) -> DescriptorPool:
    """The messages of the contract, with bytes for the opaque fields."""
    pool = DescriptorPool()
    _add(pool, admin_pb2.DESCRIPTOR, set(), is_opaque)  # it imports the others
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, added: set[str], is_opaque: _IsOpaque) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, added, is_opaque)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type if file.package in _PACKAGES else ():
        for field in message.field:
            if is_opaque(field):
                field.type = FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
    pool.Add(proto)


def _is_message_or_text(field: FieldDescriptorProto) -> bool:
    return field.type in (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_STRING)


_SHALLOW = _pool(_is_message_or_text)


def shallow(kind: Descriptor) -> type[Message]:
    """A message of the contract with bytes for its inner messages and texts.

    It can be decoded even if one of these is malformed.
    """
    return GetMessageClass(_SHALLOW.FindMessageTypeByName(kind.full_name))


if TYPE_CHECKING:
    # The same messages; only the types of their fields differ.

    class PutResponse(store_pb2.PutResponse):
        """A PutResponse whose entries are bytes."""

        def __init__(self, *, entry: bytes, revision: int, current: bytes | None = ...) -> None: ...

    class LeaseResponse(store_pb2.LeaseResponse):
        """A LeaseResponse whose entries are bytes."""

        def __init__(self, *, entry: bytes = ..., current: bytes = ..., revision: int) -> None: ...

    class SnapshotResponse(store_pb2.SnapshotResponse):
        """A SnapshotResponse whose entry is bytes."""

        def __init__(self, *, entry: bytes, revision: int) -> None: ...

    class WatchResponse(store_pb2.WatchResponse):
        """A WatchResponse whose entry is bytes."""

        def __init__(self, *, entry: bytes) -> None: ...
else:
    _POOL = _pool(lambda field: field.type_name in _OPAQUE)

    def _class(name: str) -> type:
        return GetMessageClass(_POOL.FindMessageTypeByName(f"relevo.v1.{name}"))

    PutResponse = _class("PutResponse")
    LeaseResponse = _class("LeaseResponse")
    SnapshotResponse = _class("SnapshotResponse")
    WatchResponse = _class("WatchResponse")

__all__ = [
    "LeaseResponse",
    "PutResponse",
    "SnapshotResponse",
    "WatchResponse",
    "is_of_contract",
    "shallow",
]
