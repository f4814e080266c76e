"""The near cache's rules for riders: snapshots that come with calls, and are kept like copies.

Beside the rules of `machine`, with the same lack of I/O and of a clock:

- A rider that comes with a call serves that call, whatever the stream's state: the store may be
  down. But not once this cache has heard that the snapshot has ended (`endings`).
- A kept rider is a copy like any other. It is subscribed, it counts for the bounds (N6), and it
  serves calls that come without it only once the stream has answered for it, within N1 and N2.
- That the store does not have the entry yet does not end a rider whose version the sender does
  not know: its Put may be on its way. For the same reason the absence of a snapshot is not
  served from the cache.
"""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Invalidated

from relevo_client._context import digest
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey
from relevo_client._context.riders import Rider
from relevo_client._context.sources import ContextSource
from relevo_client._near_cache.endings import Endings
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.options import CacheOptions
from relevo_client._near_cache.state import Copy

_ENDINGS = 1024
"""Ends of snapshots that even a small cache remembers."""


class RiderCache(NearCache):
    """A near cache that takes riders. Not thread-safe, like its base."""

    def __init__(
        self, options: CacheOptions, *, renewed_scopes: AbstractSet[str] = frozenset()
    ) -> None:
        super().__init__(options, renewed_scopes=renewed_scopes)
        self._endings = Endings(max(options.max_entries, _ENDINGS))

    def accept_rider(self, rider: Rider, now: float, *, keep: bool) -> bool:
        """Whether a call may use a rider that came with it; if so, and with `keep`, it is kept."""
        if self._endings.have_ended(rider.entry):
            return False
        if not keep:
            return True
        key = rider.entry.key
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = Copy(key)
            self._keep(copy, rider, now)
            self._subscribe(copy)
        elif not copy.is_answered and not copy.size:
            self._keep(copy, rider, now)
            if rider.entry.version:
                self._subscribe(copy)  # with the version, so that the content is not sent again
        self._copies.move_to_end(key)
        self._evict()
        return True

    def _keep(self, copy: Copy, rider: Rider, now: float) -> None:
        """Hold a rider as a copy that the stream has not answered for yet."""
        version = rider.entry.version
        copy.entry = replace(
            rider.entry, revision=version, signature="", source=ContextSource.NEAR_CACHE
        )
        copy.entry_version, copy.size = version, rider.size
        copy.lifetime, copy.deadline = rider.left, now + rider.left
        self._bytes += rider.size

    def _apply_invalidation(self, invalidated: Invalidated, answers: int) -> None:
        self._endings.record(invalidated, is_answer=answers > 0)
        super()._apply_invalidation(invalidated, answers)

    def _apply_entry(self, entry: EntryMessage, answers: int) -> None:
        super()._apply_entry(entry, answers)
        if entry.key.scope == digest.SCOPE and entry.HasField("ttl"):
            copy = self._copies.get(ContextKey.from_message(entry.key))
            if copy and copy.entry:
                copy.entry = _prolonged(copy.entry, entry)

    def _replace(self, copy: Copy, message: EntryMessage | None) -> None:
        known = copy.entry
        super()._replace(copy, message)
        if message and known and copy.serialized and digest.is_digest(copy.key):
            # The same name, so the same content: it needs no second decoding and verification.
            copy.serialized = None
            copy.entry = replace(
                _prolonged(known, message),
                version=message.version,
                revision=message.version,
                signature=message.signature,
            )


def _prolonged(entry: ContextEntry, message: EntryMessage) -> ContextEntry:
    """The entry with the life that a message says: its rider tells other services of it."""
    expire_time = message.expire_time.ToDatetime(UTC)
    if entry.expire_time == expire_time:
        return entry
    return replace(entry, expire_time=expire_time, ttl=message.ttl.ToTimedelta())
