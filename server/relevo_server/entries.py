"""Entries as the wire has them, made from what a backend holds.

A backend holds contexts serialized by `serialize`, without the times that the
store knows by itself.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from relevo.v1.context_pb2 import ContextEntry, ContextKey, ExecutionContext
from relevo.v1.store_pb2 import GetResponse

from relevo_server import errors, revisions, wire
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
    size: int  # of its context as it is stored: what is serialized here holds for no other
    includes: Sequence[Key]
    # Serialized:
    before: bytes  # what an entry has up to its context as it is stored
    before_in_get: bytes  # what a GetResponse has up to that
    times: bytes  # what its context lacks as it is stored


_NOTHING = _Known(0, 0, (), b"", b"", b"")


class Entries:
    """Serializes entries that were read. What is the same for each reader, it knows."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}
        # Filled in for each entry anew: to make messages costs more than that.
        self._get = GetResponse()
        self._changing = self._get.entry
        self._expire_time = self._changing.expire_time
        self._ttl = self._changing.ttl

    def includes(self, key: Key, stored: Stored | None) -> Sequence[Key]:
        """What an entry includes, none of it where that is absent.

        Raises DATA_LOSS where what is stored is no context.
        """
        return self._of(key, stored).includes if stored else ()

    def included_last(self, key: Key) -> Sequence[Key]:
        """What an entry included when it was read last, as far as that is known."""
        return self._known.get(key, _NOTHING).includes

    def serialized(self, key: Key, partition: int, stored: Stored, *, body: bool) -> bytes:
        """An entry, serialized; its context, with both times, where `body`.

        Raises DATA_LOSS where what is stored is no context.
        """
        self._fill(partition, stored.ttl_ms, _now_ms())
        changing = self._changing.SerializeToString()
        if not body or stored.context is None:
            return _named(key, stored.version) + changing
        known = self._of(key, stored)
        # Serialized messages that follow one another are one merged message.
        return b"".join((known.before, stored.context, known.times, changing))

    def get_response(self, key: Key, partition: int, stored: Stored, revision: int) -> bytes:
        """A GetResponse of nothing but an entry and its context, serialized.

        What most Gets are answered: its context is copied once on the way out.
        """
        known = self._of(key, stored)
        self._fill(partition, stored.ttl_ms, _now_ms())
        self._get.revision = revision
        # The entry is there twice, and is merged as well.
        rest = self._get.SerializeToString()
        return b"".join((known.before_in_get, stored.context or b"", known.times, rest))

    def written(self, key: Key, partition: int, written: Written) -> bytes:
        """Everything of an entry that was written, but its context: serialized.

        Its times count from the write, so a repeated Put is answered alike.
        """
        self._fill(partition, written.ttl_ms, revisions.milliseconds(written.version))
        return _named(key, written.version) + self._changing.SerializeToString()

    def _fill(self, partition: int, ttl_ms: int, now_ms: int) -> None:
        self._changing.partition = partition
        _set_ms(self._expire_time, now_ms + ttl_ms)
        _set_ms(self._ttl, ttl_ms)

    def _of(self, key: Key, stored: Stored) -> _Known:
        known = self._known.get(key, _NOTHING)
        size = len(stored.context or b"")
        if known.version != stored.version or known.size != size:
            includes = tuple(map(key_of, parse(key, stored).includes))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = _known(key, stored, includes)
        return known


def _times(stored: Stored) -> bytes:
    times = ExecutionContext()
    if not (stored.context or b"").startswith(_CREATE_TIME):
        _set_ms(times.create_time, revisions.milliseconds(stored.created))
    _set_ms(times.update_time, revisions.milliseconds(stored.version))
    return times.SerializeToString()


def _known(key: Key, stored: Stored, includes: Sequence[Key]) -> _Known:
    times = _times(stored)
    stored_context = stored.context or b""
    context = stored_context + times
    # A field's tag and length come before what it holds.
    end = -len(context)
    entry = _named(key, stored.version) + wire.ContextEntry(context=context).SerializeToString()
    answer = wire.GetResponse(entry=entry).SerializeToString()
    return _Known(stored.version, len(stored_context), includes, entry[:end], answer[:end], times)


def _named(key: Key, version: int) -> bytes:
    scope, tenant_id, id_ = key
    name = ContextKey(scope=scope, tenant_id=tenant_id, id=id_)
    return ContextEntry(key=name, version=version).SerializeToString()


def _now_ms() -> int:
    return int(time.time() * 1000)


def _set_ms(message: Timestamp | Duration, milliseconds: int) -> None:
    message.seconds = milliseconds // 1000
    message.nanos = milliseconds % 1000 * 1_000_000
