"""Entries as the wire has them, made from what a backend holds.

A backend holds contexts serialized by `serialize`, without the times that the
store knows by itself.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from relevo.v1.context_pb2 import ContextEntry, ExecutionContext

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.requests import key_of
from relevo_server.storage.interface import Stored, Written

_MAX_KNOWN = 1 << 14


def serialize(context: ExecutionContext) -> bytes:
    """The bytes to store. A create_time comes first, so that it shows without parsing."""
    context.ClearField("update_time")
    if not context.HasField("create_time"):
        return context.SerializeToString()
    first = ExecutionContext(create_time=context.create_time).SerializeToString()
    context.ClearField("create_time")
    return first + context.SerializeToString()


_CREATE_TIME = serialize(ExecutionContext(create_time=Timestamp()))[:1]
"""What bytes with a create_time begin with: the field's tag."""


def parse(key: Key, stored: Stored) -> ExecutionContext:
    """The context as it was put. Raises DATA_LOSS where the bytes are not one."""
    try:
        return ExecutionContext.FromString(stored.context or b"")
    except DecodeError:
        raise errors.corrupt_entry(key) from None


class _Known(NamedTuple):
    """What a version of an entry tells, which has been found to be sound."""

    version: int
    includes: Sequence[Key]
    times: bytes  # what its context lacks as it is stored: serialized


_NOTHING = _Known(0, (), b"")


class Entries:
    """Fills in entries that were read. What is the same for each reader, it knows."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def includes(self, key: Key, stored: Stored | None) -> Sequence[Key]:
        """What an entry includes, none of it where that is absent.

        Raises DATA_LOSS where what is stored is no context.
        """
        return self._of(key, stored).includes if stored else ()

    def included_last(self, key: Key) -> Sequence[Key]:
        """What an entry included when it was read last, as far as that is known."""
        return self._known.get(key, _NOTHING).includes

    def fill(
        self, entry: ContextEntry, key: Key, partition: int, stored: Stored, *, body: bool
    ) -> None:
        """An entry of a `wire` message; its context, with both times, where `body`.

        Raises DATA_LOSS where what is stored is no context.
        """
        _fill(entry, key, partition, stored.version, stored.ttl_ms, int(time.time() * 1000))
        if body and stored.context is not None:
            opaque: Any = entry
            # Serialized messages that follow one another are one merged message.
            opaque.context = stored.context + self._of(key, stored).times

    def _of(self, key: Key, stored: Stored) -> _Known:
        known = self._known.get(key, _NOTHING)
        if known.version != stored.version:
            includes = tuple(map(key_of, parse(key, stored).includes))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = _Known(stored.version, includes, _times(stored))
        return known


def _times(stored: Stored) -> bytes:
    times = ExecutionContext()
    if not (stored.context or b"").startswith(_CREATE_TIME):
        _set_ms(times.create_time, revisions.milliseconds(stored.created))
    _set_ms(times.update_time, revisions.milliseconds(stored.version))
    return times.SerializeToString()


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


def _set_ms(message: Timestamp | Duration, milliseconds: int) -> None:
    message.seconds = milliseconds // 1000
    message.nanos = milliseconds % 1000 * 1_000_000
