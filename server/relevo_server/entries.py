"""Entries as the wire has them, made from what a backend holds."""

import time

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from relevo.v1.context_pb2 import ContextEntry, ExecutionContext

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.storage.interface import Stored, Written


def fill_stored(entry: ContextEntry, key: Key, partition: int, stored: Stored) -> None:
    """Everything of an entry that was read, but its context."""
    _fill(entry, key, partition, stored.version, stored.ttl_ms, int(time.time() * 1000))


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
    entry.ttl.seconds, milliseconds = divmod(ttl_ms, 1000)
    entry.ttl.nanos = milliseconds * 1_000_000


def parse(key: Key, serialized: bytes) -> ExecutionContext:
    """The context as it was put. Raises DATA_LOSS where the bytes are not one."""
    context = ExecutionContext()
    _merge(context, key, serialized)
    return context


def fill_context(context: ExecutionContext, key: Key, stored: Stored) -> None:
    """The context as it was put, with the times that the store knows. Raises like `parse`."""
    _merge(context, key, stored.context)
    if not context.HasField("create_time"):
        _set_ms(context.create_time, revisions.milliseconds(stored.created))
    _set_ms(context.update_time, revisions.milliseconds(stored.version))


def _merge(context: ExecutionContext, key: Key, serialized: bytes) -> None:
    try:
        context.MergeFromString(serialized)
    except DecodeError:
        raise errors.corrupt_entry(key) from None


def _set_ms(timestamp: Timestamp, milliseconds: int) -> None:
    timestamp.seconds, rest = divmod(milliseconds, 1000)
    timestamp.nanos = rest * 1_000_000
