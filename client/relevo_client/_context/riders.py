"""Riders: snapshots that travel with the calls that need them, as bytes.

A rider is the zlib stream (RFC 1950) of a serialized `relevo.v1.ContextEntry`: the snapshot's key,
its context, the version (0 if the sender does not know the store's), and the time at which it
expires. The key is a digest of the content, so a receiver can verify what it works with. The
reference beside it says which snapshot the call is for, and its fence.

A rider is an offer: whoever cannot use it asks the store, as for a reference alone.
"""

import time
import zlib
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from google.protobuf.message import DecodeError
from relevo.v1 import context_pb2

from relevo_client._context import digest
from relevo_client._context.bounded import Bounded
from relevo_client._context.codec import context_to_message, entry_from_message
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import RelevoError
from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import unknown_of
from relevo_client._context.sources import ContextSource

MAX_BYTES = 4096
"""The limit of a rider, compressed as it travels."""
MAX_INFLATED = 256 << 10
"""The limit of what a receiver inflates; the store's own default limit of a context."""
_WORTH_COMPRESSING = 16 * MAX_BYTES
"""The largest entry that a sender tries to compress."""
_RIDER = "_rider"
"""The attribute of an entry that keeps its rider."""
_NO_REVISION = -1
"""The revision of an entry before a reference has come."""


class Refused(StrEnum):
    """Why a receiver does not use a rider: an outcome in metrics."""

    TOO_LARGE = "too_large"
    """It has more than `MAX_BYTES`, or inflates to more than `MAX_INFLATED`."""
    MALFORMED = "malformed"
    """It is no rider: cut off, with bytes after its end, or not an entry."""
    OTHER_REFERENCE = "other_reference"
    """It is the rider of another snapshot than the call's reference names."""
    FORGED = "forged"
    """The name is not that of the content, or the content is another tenant's."""
    EXPIRED = "expired"
    """The snapshot's time to live is over."""
    ENDED = "ended"
    """This client has heard that the snapshot was invalidated."""


@hides("entry")
@dataclass(slots=True)
class _Genuine:
    """A rider that was verified."""

    entry: ContextEntry
    """The entry for the reference that came last: mostly that of the next call, too."""
    size: int
    """The serialized size of the entry, in bytes."""
    expires: float
    """The Unix time at which the entry expires."""


@hides("entry")
class Rider(NamedTuple):
    """A rider that may be used."""

    entry: ContextEntry
    """The snapshot, as of the reference's revision. Its version is 0 if the sender did not know
    it."""
    size: int
    """The serialized size of the entry, in bytes."""
    left: float
    """The seconds until the entry expires."""


class RiderRefusedError(Exception):
    """A rider that must not be used, and why."""

    def __init__(self, why: Refused) -> None:
        super().__init__(why)
        self.why = why


# By the bytes: inflating, parsing and verifying takes about as long as a call of the store.
_Verified: TypeAlias = "_Genuine | Refused"
_verified = Bounded[bytes, _Verified](max_entries=1024, max_bytes=8 << 20)
_encoded = Bounded[tuple[object, ...], tuple[bytes | None]](max_entries=1024, max_bytes=4 << 20)


def rider_of(entry: ContextEntry) -> bytes | None:
    """The rider of an entry, which is encoded once.

    None if the entry is no snapshot, if it is the last known copy of one, or if its rider would
    be larger than `MAX_BYTES`.
    """
    attributes = vars(entry)
    if _RIDER not in attributes:
        attributes[_RIDER] = _encode(entry)
    rider: bytes | None = attributes[_RIDER]
    return rider


def riding(entry: ContextEntry, other: ContextEntry) -> ContextEntry:
    """The entry itself, with the rider of another entry of the same snapshot."""
    vars(entry)[_RIDER] = rider_of(other)
    return entry


def verified(rider: bytes, ref: ContextRef) -> Rider:
    """The rider in bytes that came with this reference: whole, genuine and not expired.

    Raises RiderRefusedError.
    """
    found = _verified.get(rider)
    if found is None:
        found = _verify(rider, ref.key)
    if isinstance(found, Refused):
        raise RiderRefusedError(found)
    entry = found.entry
    if entry.key is not ref.key and entry.key != ref.key:
        raise RiderRefusedError(Refused.OTHER_REFERENCE)
    left = found.expires - time.time()
    if left <= 0:
        raise RiderRefusedError(Refused.EXPIRED)
    if entry.revision != ref.revision or entry.signature != ref.signature:
        entry = replace(entry, key=ref.key, revision=ref.revision, signature=ref.signature)
        vars(entry)[_RIDER] = rider  # the calls of the receiver carry it on as it is
        found.entry = entry
    return Rider(entry, found.size, left)


def named_only(entry: ContextEntry) -> ContextEntry:
    """The entry without what its name does not cover: times and the store's version."""
    context = entry.context.model_copy(update={"created_at": None, "updated_at": None})
    return replace(entry, context=context, version=0)


def basis_of(entry: ContextEntry) -> int:
    """The revision that a snapshot is as new as: an invalidation after it ends the snapshot."""
    return entry.version or max(source.revision for source in entry.context.composed_from)


def _encode(entry: ContextEntry) -> bytes | None:
    if entry.key.scope != digest.SCOPE or entry.is_stale or not digest.is_digest(entry.key):
        return None
    # Not by the entry: each new fence makes another one. The digest stands for the content.
    name = entry.key.tenant_id, entry.key.id, entry.version, entry.expire_time
    found = _encoded.get(name)
    if found is None:
        rider = _compressed(entry)
        found = (rider,)
        _encoded.put(name, found, len(rider or b""))
    return found[0]


def _compressed(entry: ContextEntry) -> bytes | None:
    if not entry.context.composed_from or unknown_of(entry.context):
        return None
    message = context_pb2.ContextEntry(
        key=entry.key.to_message(),
        context=context_to_message(entry.context),
        version=entry.version,
        partition=entry.partition,
    )
    message.expire_time.FromDatetime(entry.expire_time)
    serialized = message.SerializeToString(deterministic=True)
    if len(serialized) > _WORTH_COMPRESSING:
        return None
    rider = zlib.compress(serialized)
    return rider if len(rider) <= MAX_BYTES else None


def _verify(rider: bytes, key: ContextKey) -> _Verified:
    """The entry, or why the bytes are no rider of any reference; both are remembered."""
    if len(rider) > MAX_BYTES:
        return Refused.TOO_LARGE
    found: _Verified
    size = len(rider)
    try:
        serialized = _inflated(rider)
        message = _parsed(serialized)
        if message.key != key.to_message():
            return Refused.OTHER_REFERENCE  # without the work of verifying it
        found = _genuine(message, len(serialized))
        size += len(serialized)
    except RiderRefusedError as refused:
        found = refused.why
    _verified.put(rider, found, size)
    return found


def _inflated(rider: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        serialized = inflate.decompress(rider, MAX_INFLATED)
    except zlib.error:
        raise RiderRefusedError(Refused.MALFORMED) from None
    if inflate.unconsumed_tail:
        raise RiderRefusedError(Refused.TOO_LARGE)
    if not inflate.eof or inflate.unused_data:
        raise RiderRefusedError(Refused.MALFORMED)
    return serialized


def _parsed(serialized: bytes) -> context_pb2.ContextEntry:
    try:
        return context_pb2.ContextEntry.FromString(serialized)
    except DecodeError:
        raise RiderRefusedError(Refused.MALFORMED) from None


def _genuine(message: context_pb2.ContextEntry, size: int) -> _Genuine:
    """The entry of a message whose key is a digest of the context, and of its tenant."""
    try:
        entry = entry_from_message(message, _NO_REVISION)
    except (RelevoError, ValueError, OverflowError):
        raise RiderRefusedError(Refused.FORGED) from None
    if not (digest.is_digest(entry.key) and _is_covered(entry)):
        raise RiderRefusedError(Refused.FORGED)
    expires = entry.expire_time.timestamp()
    left = timedelta(seconds=max(0.0, expires - time.time()))
    return _Genuine(replace(entry, ttl=left, source=ContextSource.RIDER), size, expires)


def _is_covered(entry: ContextEntry) -> bool:
    """Whether the name covers the content: all of it but the times, and its tenant.

    The digest covers the tenants in the content and not the one in the key, and no fields of a
    newer contract.
    """
    context, tenant_id = entry.context, entry.key.tenant_id
    return (
        entry.version >= 0
        and not unknown_of(context)
        and context.tenant_id in ("", tenant_id)
        and bool(context.composed_from)
        and all(
            source.key.tenant_id == tenant_id and not source.signature
            for source in context.composed_from
        )
    )
