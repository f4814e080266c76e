"""The server's cache of entries, for reads with CONSISTENCY_CACHED.

No I/O and no clock. Each copy equals the store's entry as of its partition's position, the
revision up to which every event was applied. Four rules ensure that:

- A read is cached only if it is as of the position itself. An answer that an event has
  overtaken is as of an earlier revision, so it is never cached.
- An event drops the copies of the entries that it names; the next reader fetches the value.
- If the log does not continue, all copies of its partition are dropped.
- A copy is served only during its time to live, and only if the last poll of the log that
  reached its end began less than `max_staleness` seconds ago.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from relevo_server.keys import Key
from relevo_server.storage.events import Event, Tail
from relevo_server.storage.interface import Read, Stored

OVERHEAD = 512
"""Approximate memory in bytes that a copy takes beside its context."""


class _Copy(NamedTuple):
    partition: int
    stored: Stored | None  # None if the entry is absent
    until: float  # the end of its time to live
    size: int


class _Partition:
    """The state of a partition whose log is followed."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.as_of = -math.inf
        """The time at which the last poll of the log that reached its end began."""
        self.keys: set[Key] = set()


class Copies:
    """The copies of all partitions, bounded; the least recently used are evicted first.

    Times are seconds of one monotonic clock.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, max_staleness: float) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_staleness = max_staleness
        self._partitions: dict[int, _Partition] = {}
        self._copies = OrderedDict[Key, _Copy]()
        self.size = 0
        """Approximate memory in bytes that all copies take."""

    def __len__(self) -> int:
        return len(self._copies)

    def apply(self, partition: int, tail: Tail, begun: float) -> None:
        """Apply a partition's events after its position, or a gap after it.

        `begun` is the time at which the poll of the log began: later writes may be missing.
        """
        part = self._partitions.get(partition)
        if part is None or tail.gap:
            self.forget(partition)
            part = self._partitions[partition] = _Partition(tail.revision)
        for event in tail.events:
            for key in _named(event, part.keys):
                self._drop(key)
            part.position = event.revision
        if part.position >= tail.revision:
            part.as_of = begun

    def forget(self, partition: int) -> None:
        """Drop the copies of a partition whose log is no longer followed, or was lost."""
        part = self._partitions.pop(partition, None)
        if part:
            for key in part.keys:
                self.size -= self._copies.pop(key).size

    def keep(self, partition: int, keys: Sequence[Key], read: Read, begun: float) -> None:
        """Cache the answer of a read of full entries that began at `begun`."""
        part = self._partitions.get(partition)
        if part is None or read.revision != part.position:
            return
        for key, stored in zip(keys, read.entries, strict=True):
            if key in part.keys:
                self._drop(key)
            size = OVERHEAD + (len(stored.context or b"") if stored else 0)
            until = begun + stored.ttl_ms / 1000 if stored else math.inf
            self._copies[key] = _Copy(partition, stored, until, size)
            self.size += size
            part.keys.add(key)
        while len(self._copies) > self._max_entries or self.size > self._max_bytes:
            self._drop(next(iter(self._copies)))

    def get(self, partition: int, keys: Sequence[Key], fence: int, now: float) -> Read | None:
        """The entries as of the position.

        None if one is not cached, or if the position is before the revision `fence`.
        """
        part = self._partitions.get(partition)
        if part is None or part.position < fence or now - part.as_of > self._max_staleness:
            return None
        entries: list[Stored | None] = []
        for key in keys:
            copy = self._copies.get(key)
            if copy is None or copy.until <= now:
                return None
            self._copies.move_to_end(key)
            stored = copy.stored
            if stored:
                left = int((copy.until - now) * 1000)
                stored = Stored(stored.version, stored.created, left, stored.context)
            entries.append(stored)
        return Read(part.position, entries)

    def _drop(self, key: Key) -> None:
        copy = self._copies.pop(key)
        self.size -= copy.size
        self._partitions[copy.partition].keys.remove(key)


def _named(event: Event, keys: set[Key]) -> list[Key]:
    """The keys, of those given, that an event names."""
    if event.kind == "floor":
        tenant_id, scope = event.tenant_id, event.scope
        return [key for key in keys if key.tenant_id == tenant_id and scope in ("", key.scope)]
    return [event.key] if event.key is not None and event.key in keys else []
