"""Answers that hold contexts as bytes, just as they are stored.

A message within a message is a run of bytes on the wire, as a bytes field is
(https://protobuf.dev/programming-guides/encoding/#submessages). So here are the
messages of `relevo.v1` once more, in which an entry's context is bytes: clients
see no difference, and a server that passes contexts on need not take them apart
and put them together again, which costs more than all else that it does for a Get.
"""

from typing import TYPE_CHECKING

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from relevo.v1 import store_pb2


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    _add(pool, store_pb2.DESCRIPTOR, set())
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, added)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type:
        for field in message.field:
            if (message.name, field.name) == ("ContextEntry", "context"):
                field.type = FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
    pool.Add(proto)


if TYPE_CHECKING:
    # But `ContextEntry.context`, which only `entries` fills, they are the same.
    from relevo.v1.store_pb2 import BatchGetResponse, GetResponse, LeaseResponse, WatchResponse
else:
    _POOL = _pool()
    GetResponse = GetMessageClass(_POOL.FindMessageTypeByName("relevo.v1.GetResponse"))
    BatchGetResponse = GetMessageClass(_POOL.FindMessageTypeByName("relevo.v1.BatchGetResponse"))
    LeaseResponse = GetMessageClass(_POOL.FindMessageTypeByName("relevo.v1.LeaseResponse"))
    WatchResponse = GetMessageClass(_POOL.FindMessageTypeByName("relevo.v1.WatchResponse"))

__all__ = ["BatchGetResponse", "GetResponse", "LeaseResponse", "WatchResponse"]
