"""Entries as the wire has them, made from what a backend holds.

A backend holds contexts serialized by `serialize`, without the times that the
store knows by itself. Answers are put together from these bytes, and not from
messages: to take a context apart and put it together again costs more than all
else that the server does for a Get. Each singular field is written once, at every
level, and fields stand in order: not every implementation of protobuf merges
duplicates (protobufjs keeps the last).
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.message import DecodeError
from relevo.v1.context_pb2 import ContextEntry, ContextKey, ExecutionContext
from relevo.v1.store_pb2 import GetResponse

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.storage.interface import Stored, Written
from relevo_server.wire.contexts import key_of

_MAX_KNOWN = 1 << 14


def serialize(context: ExecutionContext) -> bytes:
    """The bytes to store. A create_time comes first, so that it can be told from the rest."""
    first = b""
    if context.HasField("create_time"):
        first = ExecutionContext(create_time=context.create_time).SerializeToString()
    return first + _without_times(context)


def _without_times(context: ExecutionContext) -> bytes:
    context.ClearField("create_time")
    context.ClearField("update_time")
    return context.SerializeToString()


def parse(key: Key, stored: Stored) -> ExecutionContext:
    """The context as it was put. Raises DATA_LOSS if the bytes are not one."""
    try:
        return ExecutionContext.FromString(stored.context or b"")
    except DecodeError:
        raise errors.corrupt_entry(key) from None


@lru_cache(4096)
def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _tag(field: int) -> bytes:
    """What comes before the length of a message field."""
    return _varint(field << 3 | 2)


_CONTEXT = _tag(ContextEntry.CONTEXT_FIELD_NUMBER)
_ENTRY = _tag(GetResponse.ENTRY_FIELD_NUMBER)


class _Known(NamedTuple):
    """Cached parts of the answer for one version of an entry."""

    version: int
    stored_size: int  # of its context as it is stored: what is serialized here holds for no other
    includes: Sequence[Key]
    order: "_Order | None"  # how its context's bytes are put in order; None if they are
    # Serialized:
    before: bytes  # what an entry has up to its context
    after: bytes  # what it has from there to its version; the times, if these end the context
    size: int  # of the entry up to its version


class _Order(NamedTuple):
    """Where the times belong in the bytes of a context."""

    is_stored: bool  # else these are not as `serialize` makes them, and are made anew
    begin: int  # in front of this is a create_time, which does not stand in its place
    end: int  # after this are the fields that come after the times
    times: bytes


_NOTHING = _Known(0, 0, (), None, b"", b"", 0)


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
        """The keys that an entry includes, none if it is absent.

        Raises DATA_LOSS if what is stored is no context.
        """
        return self._of(key, stored).includes if stored else ()

    def included_last(self, key: Key) -> Sequence[Key]:
        """The keys that an entry included when it was read last, as far as that is known."""
        return self._known.get(key, _NOTHING).includes

    def serialized(self, key: Key, partition: int, stored: Stored, *, body: bool) -> bytes:
        """An entry, serialized; with `body` and its context, if that was read.

        Raises DATA_LOSS if what is stored is no context.
        """
        self._fill(partition, stored.ttl_ms, _now_ms())
        changing = self._changing.SerializeToString()
        if not body or stored.context is None:
            return _named(key, stored.version) + changing
        known = self._of(key, stored)
        context = _in_order(known.order, key, stored) if known.order else stored.context
        return b"".join((known.before, context, known.after, changing))

    def get_response(self, key: Key, partition: int, stored: Stored, revision: int) -> bytes:
        """A GetResponse of nothing but an entry and its context, serialized.

        What most Gets are answered: its context is copied once on the way out.
        """
        known = self._of(key, stored)
        context = _in_order(known.order, key, stored) if known.order else stored.context or b""
        self._fill(partition, stored.ttl_ms, _now_ms())
        self._get.revision = revision
        # The tag and the length of what changes in an entry, then this itself, with which the
        # entry ends, then the revision.
        rest = self._get.SerializeToString()
        size = _varint(known.size + rest[1])
        return b"".join((_ENTRY, size, known.before, context, known.after, rest[2:]))

    def written(self, key: Key, partition: int, written: Written) -> bytes:
        """Everything of an entry that was written, but its context: serialized.

        Its times count from the write, so a repeated Put is answered alike.
        """
        self._fill(partition, written.ttl_ms, revisions.milliseconds(written.version))
        return _named(key, written.version) + self._changing.SerializeToString()

    def _fill(self, partition: int, ttl_ms: int, now_ms: int) -> None:
        self._changing.partition = partition
        expire_ms = now_ms + ttl_ms
        self._expire_time.seconds = expire_ms // 1000
        self._expire_time.nanos = expire_ms % 1000 * 1_000_000
        self._ttl.seconds = ttl_ms // 1000
        self._ttl.nanos = ttl_ms % 1000 * 1_000_000

    def _of(self, key: Key, stored: Stored) -> _Known:
        known = self._known.get(key, _NOTHING)
        if known.version != stored.version or known.stored_size != len(stored.context or b""):
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = _known(key, stored)
        return known


def _in_order(order: _Order, key: Key, stored: Stored) -> bytes:
    """A context with its times, whose bytes are not answered as they are stored."""
    context = stored.context or b""
    if not order.is_stored:
        context = _without_times(parse(key, stored))
    view = memoryview(context)
    return b"".join((view[order.begin : order.end], order.times, view[order.end :]))


def _known(key: Key, stored: Stored) -> _Known:
    context = stored.context or b""
    parsed = parse(key, stored)
    includes = tuple(map(key_of, parsed.includes))
    times = ExecutionContext()
    create_time = b""
    if parsed.HasField("create_time"):
        times.create_time.CopyFrom(parsed.create_time)
        create_time = times.SerializeToString()
    else:
        times.create_time.FromMilliseconds(revisions.milliseconds(stored.created))
    times.update_time.FromMilliseconds(revisions.milliseconds(stored.version))
    put = len(_without_times(parsed))
    later = _later(parsed)
    # A field that is there twice takes more bytes than once. What a Put stores has none, but
    # others may have written to the store.
    is_stored = (
        len(create_time) + put == len(context)
        and context.startswith(create_time)
        and context.endswith(later)
    )
    begin = len(create_time) if is_stored else 0
    of_context = times.SerializeToString()
    whole = put + len(of_context)
    before = ContextEntry(key=_message(key)).SerializeToString() + _CONTEXT + _varint(whole)
    after = ContextEntry(version=stored.version).SerializeToString()
    size = len(before) + whole + len(after)
    order = None
    if begin or later or not is_stored:
        order = _Order(is_stored, begin, begin + put - len(later), of_context)
    else:
        after = of_context + after
    return _Known(stored.version, len(context), includes, order, before, after, size)


def _later(context: ExecutionContext) -> bytes:
    """What comes after the times, of a context without them; nothing if no field has to.

    Fields that are not known are a part of it: protobuf writes these last.
    """
    fields = [field for field, _ in context.ListFields()]
    if not fields or fields[-1].number < ExecutionContext.UPDATE_TIME_FIELD_NUMBER:
        return b""
    for field in fields:
        if field.number < ExecutionContext.CREATE_TIME_FIELD_NUMBER:
            context.ClearField(field.name)
    return context.SerializeToString()


def _named(key: Key, version: int) -> bytes:
    """An entry without its context, up to its version."""
    return ContextEntry(key=_message(key), version=version).SerializeToString()


def _message(key: Key) -> ContextKey:
    return ContextKey(scope=key.scope, tenant_id=key.tenant_id, id=key.id)


def _now_ms() -> int:
    return int(time.time() * 1000)
