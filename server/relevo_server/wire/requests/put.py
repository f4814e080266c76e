"""Put: a context to write under a key, and the conditions for it."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import PutRequest, SnapshotRequest

from relevo_server import errors
from relevo_server.errors import StoreError, Violation
from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.roles import READ, WRITE
from relevo_server.storage.events import WHOLE
from relevo_server.storage.interface import ABSENT, Once
from relevo_server.wire import masks
from relevo_server.wire.contexts import context_problems, key_of, key_problems
from relevo_server.wire.decoding import decoder, only, too_long
from relevo_server.wire.entries import stored_form
from relevo_server.wire.framing import message_in, tag
from relevo_server.wire.requests.get import Get, current_of
from relevo_server.wire.requests.rules import (
    Rights,
    canonical,
    duration_ms,
    once_of,
    refuse,
    request_id_problems,
)

_TAG_AND_LENGTH = 3  # bytes of update_time, which is not stored
_OTHERS = masks.MAX_BYTES + (16 << 10)
"""The most bytes of a Put beside its context: its mask, and all that is short."""
_KEY, _CONTEXT = tag(PutRequest.KEY_FIELD_NUMBER), tag(PutRequest.CONTEXT_FIELD_NUMBER)
_decode = decoder(PutRequest)


class PutLimits(NamedTuple):
    """The limits of the server's settings."""

    context_bytes: int
    """The largest context, serialized."""
    ttl_ms: int
    """The longest time to live, in milliseconds."""


@hides("content", "lease_token")
class Put(NamedTuple):
    """A checked PutRequest."""

    key: Key
    content: bytes | masks.Patch
    """The whole context as it is to be stored, or the parts that a mask names."""
    ttl_ms: int | None
    """Milliseconds that the entry is to live; None: as its scope says."""
    expected: int | None
    """The version that must be live: ABSENT for no entry, None for any."""
    lease_token: str
    """The lease that must be held, "" for none."""
    once: Once | None
    principal: str = ""
    """The principal that puts, "" if the server has none."""
    current: Get | None = None
    """The read of the entry with its layers that follows; None for none."""

    @property
    def size(self) -> int:
        """The size of what was sent, in bytes."""
        content = self.content
        return len(content) if isinstance(content, bytes) else content.source.ByteSize()

    @property
    def fields(self) -> tuple[str, ...]:
        """The written parts, for the record of the change: `*`, or the paths of the mask."""
        return WHOLE if isinstance(self.content, bytes) else masks.names(self.content.paths)


def read_put(serialized: bytes, rights: Rights, limits: PutLimits) -> Put:
    """Read a PutRequest.

    Raises PERMISSION_DENIED, RESOURCE_EXHAUSTED for a context that is too large, or
    INVALID_ARGUMENT.
    """
    is_too_long = len(serialized) > limits.context_bytes + _OTHERS
    request = _head(serialized) if is_too_long else _decode(serialized)
    key = key_of(request.key)
    rights.require(key.tenant_id, WRITE, key.scope)
    if request.include_layers:
        rights.require(key.tenant_id, READ, key.scope)
    if is_too_long:
        raise _too_long(serialized, limits)
    # The only time that the context is serialized: its size, what is stored and the fingerprint of
    # the request are all of these bytes.
    whole = canonical(request)
    context = _context_in(whole)
    # Before the rules: checking them takes time in proportion to the context.
    _check_size(request.context, context, limits.context_bytes)
    ttl_ms = duration_ms(request.ttl) if request.HasField("ttl") else None
    paths, mask_problems = _mask_of(request)
    refuse(
        chain(
            key_problems(key, "key"),
            _context_problems(request, context, key),
            ttl_problems(request, ttl_ms, limits.ttl_ms),
            _precondition_problems(request),
            request_id_problems(request.request_id),
            mask_problems,
        )
    )
    content = (
        stored_form(request.context, context)
        if paths is None
        else masks.Patch(paths, request.context)
    )
    expected, token = _expected(request), request.lease_token
    once = once_of(request.request_id, whole)
    current = current_of(key, rights) if request.include_layers else None
    return Put(key, content, ttl_ms, expected, token, once, rights.name, current)


def _context_in(whole: bytes) -> bytes:
    """The context in the canonical form of a PutRequest, b"" if it has none."""
    key = message_in(whole, _KEY)
    context = message_in(whole, _CONTEXT, key[1] if key else 0)
    return whole[slice(*context)] if context else b""


def _check_size(context: ExecutionContext, serialized: bytes, limit: int) -> None:
    """Raise RESOURCE_EXHAUSTED for a context that is too large, whatever its mask or times."""
    size = len(serialized)
    if context.HasField("update_time"):
        size -= context.update_time.ByteSize() + _TAG_AND_LENGTH
    if size > limit:
        raise errors.context_too_large(size, limit)


def _head(serialized: bytes) -> PutRequest:
    """The key alone, of a request that is too long to be decoded as a whole."""
    return _decode(only(PutRequest, serialized, "key").SerializeToString())


def _too_long(serialized: bytes, limits: PutLimits) -> StoreError:
    """The error of a request that is too long to be decoded, by the field that makes it so."""
    parts = only(PutRequest, serialized, "context", "update_mask")
    if len(parts.context) > limits.context_bytes:
        return errors.context_too_large(len(parts.context), limits.context_bytes)
    if len(parts.update_mask) > masks.MAX_BYTES:
        return errors.invalid([masks.too_long(len(parts.update_mask))])
    return too_long(len(serialized), limits.context_bytes + _OTHERS)


def _expected(request: PutRequest) -> int | None:
    if request.HasField("if_version"):
        return request.if_version
    return ABSENT if request.if_absent else None


def _mask_of(request: PutRequest) -> tuple[Sequence[masks.Path] | None, Sequence[Violation]]:
    """The paths of the mask, None for the whole context; and its broken rules."""
    if not request.HasField("update_mask"):
        return None, ()
    size = request.update_mask.ByteSize()
    if size > masks.MAX_BYTES:
        return None, [masks.too_long(size)]
    try:
        return masks.parse(request.update_mask.paths), ()
    except ValueError as error:
        return None, [("update_mask", str(error))]


def _context_problems(request: PutRequest, serialized: bytes, key: Key) -> Iterator[Violation]:
    if not request.HasField("context"):
        yield "context", "must be given"
    yield from context_problems(request.context, serialized, key)


def ttl_problems(
    request: PutRequest | SnapshotRequest, ttl_ms: int | None, longest: int
) -> Iterator[Violation]:
    """The broken rule of a time to live; `longest` is the longest one, in milliseconds."""
    if request.HasField("ttl") and (ttl_ms is None or not 0 < ttl_ms <= longest):
        yield "ttl", f"must be more than 0 s and at most {longest / 1000:g} s"


def _precondition_problems(request: PutRequest) -> Iterator[Violation]:
    match request.WhichOneof("precondition"):
        case "if_version" if request.if_version <= 0:
            yield "if_version", "must be a version, which is more than 0"
        case "if_absent" if not request.if_absent:
            yield "if_absent", "must be true if it is given"
        case "if_absent" if request.update_mask.paths:
            yield "if_absent", "cannot be together with update_mask"
        case "lease_token" if not request.lease_token:
            yield "lease_token", "must not be empty"
        case "lease_token" if request.update_mask.paths:
            yield "lease_token", "cannot be together with update_mask"
        case _:
            pass
