"""Entries on the wire, assembled from the bytes that a backend holds.

A backend holds contexts serialized by `serialize`, without the times that the store
itself knows. Responses are assembled from these bytes and not from messages, because
to parse and serialize a context costs more than the rest of a Get. At every level,
each singular field is written once and fields are in order: not every implementation
of protobuf merges duplicates (protobufjs keeps the last).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from google.protobuf.message import DecodeError
from relevo.v1.context_pb2 import ContextEntry, ExecutionContext
from relevo.v1.store_pb2 import GetResponse

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.storage.interface import Stored, Written
from relevo_server.wire.contexts import key_of, message_of
from relevo_server.wire.framing import tag, varint

Sign: TypeAlias = Callable[[Key, int], str]
"""Signs the reference to an entry, given by its key and version."""

_MAX_FRAMES = 1 << 14


def serialize(context: ExecutionContext) -> bytes:
    """The bytes to store: a caller's create_time first, and no time that the store sets.

    Clears the times of `context`.
    """
    first = b""
    if context.HasField("create_time"):
        first = ExecutionContext(create_time=context.create_time).SerializeToString()
    return first + _without_times(context)


def stored_form(context: ExecutionContext, serialized: bytes) -> bytes:
    """The same, of a context that has been serialized already. Few contexts come with times."""
    if context.HasField("create_time") or context.HasField("update_time"):
        return serialize(context)
    return serialized


def _without_times(context: ExecutionContext) -> bytes:
    context.ClearField("create_time")
    context.ClearField("update_time")
    return context.SerializeToString()


def parse(key: Key, stored: Stored) -> ExecutionContext:
    """The context as it was put. Raises DATA_LOSS if the bytes are no context."""
    try:
        return ExecutionContext.FromString(stored.context or b"")
    except DecodeError:
        raise errors.corrupt_entry(key) from None


_CONTEXT = tag(ContextEntry.CONTEXT_FIELD_NUMBER)
_ENTRY = tag(GetResponse.ENTRY_FIELD_NUMBER)
_LAYER = tag(GetResponse.LAYERS_FIELD_NUMBER)


class _Frame(NamedTuple):
    """The serialized parts of an entry around its context, cached by version."""

    version: int
    stored_size: int  # bytes of the stored context; the frame is valid for this size only
    includes: Sequence[Key]
    order: "_Order | None"  # how to reorder the context's bytes; None if they are in order
    before: bytes  # the entry up to its context
    after: bytes  # from there up to the version; with the context's times, if they end it
    size: int  # bytes of the entry up to and with its version


class _Order(NamedTuple):
    """The place of the times in the bytes of a context."""

    is_stored: bool  # False: the stored bytes are not `serialize`'s, and are serialized anew
    begin: int  # where the create_time that comes first ends
    end: int  # where the fields after the times begin
    times: bytes


_NO_FRAME = _Frame(0, 0, (), None, b"", b"", 0)


class Entries:
    """Serializes entries that were read. The parts that are the same for each reader are cached.

    `sign` signs their references; None for entries without signatures.
    """

    def __init__(self, sign: Sign | None = None) -> None:
        self._sign = sign
        self._frames: dict[Key, _Frame] = {}
        # Reused for every entry: creating messages would cost more than filling them in.
        self._get = GetResponse()
        self._changing = self._get.entry
        self._expire_time = self._changing.expire_time
        self._ttl = self._changing.ttl

    def includes(self, key: Key, stored: Stored | None) -> Sequence[Key]:
        """The keys that an entry includes, none if it is absent.

        Raises DATA_LOSS if what is stored is no context.
        """
        return self._frame(key, stored).includes if stored else ()

    def last_includes(self, key: Key) -> Sequence[Key]:
        """The keys that an entry included when it was last read; none if that is unknown."""
        return self._frames.get(key, _NO_FRAME).includes

    def serialized(self, key: Key, partition: int, stored: Stored, *, body: bool) -> bytes:
        """A serialized entry, with its context if `body` is set and the context was read.

        Raises DATA_LOSS if what is stored is no context.
        """
        self._fill(key, stored.version, partition, stored.ttl_ms, _now_ms())
        changing = self._changing.SerializeToString()
        if not body or stored.context is None:
            return _named(key, stored.version) + changing
        frame = self._frame(key, stored)
        context = _in_order(frame.order, key, stored) if frame.order else stored.context
        return b"".join((frame.before, context, frame.after, changing))

    def get_response(self, key: Key, partition: int, stored: Stored, revision: int) -> bytes:
        """A serialized GetResponse with an entry, its context and the revision.

        This is the response of most Gets, and copies the context only once.
        """
        frame = self._frame(key, stored)
        context = _in_order(frame.order, key, stored) if frame.order else stored.context or b""
        self._fill(key, stored.version, partition, stored.ttl_ms, _now_ms())
        self._get.revision = revision
        # The tag and the length of the entry's changing fields, these fields, which end the entry,
        # and the revision.
        rest = self._get.SerializeToString()
        length, begin = rest[1], 2
        if length > 0x7F:  # a varint of two bytes, as signatures make it
            length, begin = length & 0x7F | rest[2] << 7, 3
        size = varint(frame.size + length)
        return b"".join((_ENTRY, size, frame.before, context, frame.after, rest[begin:]))

    def layered_response(
        self,
        partition: int,
        head: tuple[Key, Stored],
        layers: Iterable[tuple[Key, Stored]],
        revision: int,
        *,
        not_modified: bool,
    ) -> bytes:
        """A serialized GetResponse with an entry and its layers.

        If it is `not_modified`, the entry has no context. Raises DATA_LOSS if what is stored is no
        context.
        """
        entry = self.serialized(head[0], partition, head[1], body=not not_modified)
        parts = [_ENTRY, varint(len(entry)), entry]
        for key, stored in layers:
            layer = self.serialized(key, partition, stored, body=True)
            parts += _LAYER, varint(len(layer)), layer
        parts.append(GetResponse(revision=revision, not_modified=not_modified).SerializeToString())
        return b"".join(parts)

    def written(self, key: Key, partition: int, written: Written) -> bytes:
        """A serialized entry that was written, without its context.

        Its times count from the write, so a repeated Put gets the same answer.
        """
        written_ms = revisions.milliseconds(written.version)
        self._fill(key, written.version, partition, written.ttl_ms, written_ms)
        self._changing.version = written.version
        rest = self._changing.SerializeToString()
        self._changing.ClearField("version")
        return _key_field(key) + rest

    def _fill(self, key: Key, version: int, partition: int, ttl_ms: int, now_ms: int) -> None:
        if self._sign:
            self._changing.signature = self._sign(key, version)
        self._changing.partition = partition
        expire_ms = now_ms + ttl_ms
        self._expire_time.seconds = expire_ms // 1000
        self._expire_time.nanos = expire_ms % 1000 * 1_000_000
        self._ttl.seconds = ttl_ms // 1000
        self._ttl.nanos = ttl_ms % 1000 * 1_000_000

    def _frame(self, key: Key, stored: Stored) -> _Frame:
        frame = self._frames.get(key, _NO_FRAME)
        if frame.version != stored.version or frame.stored_size != len(stored.context or b""):
            if len(self._frames) >= _MAX_FRAMES:
                self._frames.clear()
            frame = self._frames[key] = _new_frame(key, stored)
        return frame


def _in_order(order: _Order, key: Key, stored: Stored) -> bytes:
    """The bytes of a context with its times, each field in its place."""
    context = stored.context or b""
    if not order.is_stored:
        context = _without_times(parse(key, stored))
    view = memoryview(context)
    return b"".join((view[order.begin : order.end], order.times, view[order.end :]))


def _new_frame(key: Key, stored: Stored) -> _Frame:
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
    # A duplicated field takes more bytes than its parsed form. A Put stores none, but others may
    # have written to the store.
    is_stored = (
        len(create_time) + put == len(context)
        and context.startswith(create_time)
        and context.endswith(later)
    )
    begin = len(create_time) if is_stored else 0
    of_context = times.SerializeToString()
    whole = put + len(of_context)
    before = _key_field(key) + _CONTEXT + varint(whole)
    after = ContextEntry(version=stored.version).SerializeToString()
    size = len(before) + whole + len(after)
    order = None
    if begin or later or not is_stored:
        order = _Order(is_stored, begin, begin + put - len(later), of_context)
    else:
        after = of_context + after
    return _Frame(stored.version, len(context), includes, order, before, after, size)


def _later(context: ExecutionContext) -> bytes:
    """The serialized fields after the times, of a context without times; b"" if there are none.

    Unknown fields belong to them: protobuf writes these last.
    """
    fields = [field for field, _ in context.ListFields()]
    if not fields or fields[-1].number < ExecutionContext.UPDATE_TIME_FIELD_NUMBER:
        return b""
    for field in fields:
        if field.number < ExecutionContext.CREATE_TIME_FIELD_NUMBER:
            context.ClearField(field.name)
    return context.SerializeToString()


def _named(key: Key, version: int) -> bytes:
    """A serialized entry up to its version, without its context."""
    return _key_field(key) + ContextEntry(version=version).SerializeToString()


@lru_cache(4096)
def _key_field(key: Key) -> bytes:
    """The key of a serialized entry."""
    return ContextEntry(key=message_of(key)).SerializeToString()


def _now_ms() -> int:
    return int(time.time() * 1000)
