"""Entries as the wire has them, made from what a backend holds."""

import time

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from relevo.v1.context_pb2 import ContextEntry, ExecutionContext

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.storage.interface import Stored, Written


def fill_stored(
    entry: ContextEntry, key: Key, partition: int, stored: Stored, *, body: bool
) -> None:
    """An entry that was read; its context, with the times that the store knows, where `body`.

    Raises DATA_LOSS where what is stored is no context.
    """
    version, created, ttl_ms, serialized = stored
    _fill(entry, key, partition, version, ttl_ms, int(time.time() * 1000))
    if body:
        context = entry.context
        _merge(context, key, serialized)
        if not context.HasField("create_time"):
            _set_ms(context.create_time, revisions.milliseconds(created))
        _set_ms(context.update_time, revisions.milliseconds(version))


def fill_written(entry: ContextEntry, key: Key, partition: int, written: Written) -> None:
    """Everything of an entry that was written, but its context.

    Its times count from the write, so a repeated Put is answered alike.
    """
    at = revisions.milliseconds(written.version)
    _fill(entry, key, partition, written.version, written.ttl_ms, at)


def _fill(
    entry: ContextEntry, key: Key, partition: int, version: int, ttl_ms: int, now_ms: int
) -> None:
    message = entry.key
    message.scope, message.tenant_id, message.id = key
    entry.version = version
    entry.partition = partition
    _set_ms(entry.expire_time, now_ms + ttl_ms)
    _set_ms(entry.ttl, ttl_ms)


def parse(key: Key, serialized: bytes) -> ExecutionContext:
    """The context as it was put. Raises DATA_LOSS where the bytes are not one."""
    context = ExecutionContext()
    _merge(context, key, serialized)
    return context


def _merge(context: ExecutionContext, key: Key, serialized: bytes) -> None:
    try:
        context.MergeFromString(serialized)
    except DecodeError:
        raise errors.corrupt_entry(key) from None


def _set_ms(message: Timestamp | Duration, milliseconds: int) -> None:
    message.seconds = milliseconds // 1000
    message.nanos = milliseconds % 1000 * 1_000_000
