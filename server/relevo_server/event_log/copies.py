"""The server's cache of entries, for reads with CONSISTENCY_CACHED.

No I/O and no clock. Each copy equals the store's entry as of its partition's position, the
revision up to which every event was applied. Four rules ensure that:

- A read is cached only if it is as of the position itself. An answer that an event has
  overtaken is as of an earlier revision, so it is never cached.
- An event drops the copy of the entry that it names; the next reader fetches the value. A floor
  names any number of entries, so it is recorded, and each copy that it ends is dropped by the next
  reader, or as the least recently used one.
- If the log does not continue, all copies of its partition are dropped.
- A copy is served only during its time to live, and only if the last poll of the log that
  reached its end began less than `max_staleness` seconds ago.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from relevo_server.keys import Key
from relevo_server.storage.events import Tail
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
        self.tenants = Counter[str]()
        """The number of keys of each tenant."""
        self.floors: dict[str, dict[str, int]] = {}
        """By tenant, and by scope or "" for each: the revisions of floors."""

    def add(self, key: Key) -> None:
        """Record that there is a copy."""
        self.keys.add(key)
        self.tenants[key.tenant_id] += 1

    def remove(self, key: Key) -> None:
        """Record that a copy is gone."""
        self.keys.remove(key)
        self.tenants[key.tenant_id] -= 1
        if not self.tenants[key.tenant_id]:
            del self.tenants[key.tenant_id]
            self.floors.pop(key.tenant_id, None)

    def floor(self, key: Key) -> int:
        """The revision up to which the entries of a key's tenant and scope have ended."""
        floors = self.floors.get(key.tenant_id)
        return max(floors.get("", 0), floors.get(key.scope, 0)) if floors else 0


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
            if event.kind == "floor" and event.tenant_id in part.tenants:
                part.floors.setdefault(event.tenant_id, {})[event.scope] = event.revision
            elif event.key and event.key in part.keys:
                self._drop(event.key)
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
            part.add(key)
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
            if copy.stored and copy.stored.version <= part.floor(key):
                self._drop(key)
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
        self._partitions[copy.partition].remove(key)
