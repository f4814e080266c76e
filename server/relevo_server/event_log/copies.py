"""Copies of entries, for readers that are content with what a partition's log confirms.

No I/O and no clock. Each copy is what the store has as of its partition's position, the
revision up to which every event was applied. Four rules see to it:

- What was read is kept where it was read as of the position itself. A reply that an event has
  overtaken is of an earlier revision, and so is never kept.
- An event ends the copies that it is about; the next reader fetches the value.
- A log that does not continue ends all copies of its partition.
- A copy serves only while its time to live lasts, and while a look at the log, counted from its
  beginning, is younger than `max_staleness`.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from relevo_server.keys import Key
from relevo_server.storage.interface import Event, Read, Stored, Tail

OVERHEAD = 512
"""Bytes that a copy takes beside its context, about."""


class _Copy(NamedTuple):
    partition: int
    stored: Stored | None  # None: there is no such entry
    until: float  # when its time to live is over
    size: int


class _Partition:
    """What is known of a partition whose log is followed."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.as_of = -math.inf
        """When the last look at the log that reached its end was begun."""
        self.keys: set[Key] = set()


class Copies:
    """The copies of all partitions: bounded, and those that were not used for longest go first.

    Times are seconds of one clock that never goes back.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, max_staleness: float) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_staleness = max_staleness
        self._partitions: dict[int, _Partition] = {}
        self._copies = OrderedDict[Key, _Copy]()
        self.size = 0
        """Bytes that all copies take, about."""

    def __len__(self) -> int:
        return len(self._copies)

    def apply(self, partition: int, tail: Tail, begun: float) -> None:
        """Take in what a log has after the position, or that it does not continue from there.

        `begun` is when the log began to be looked at: what was written later may be missing.
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
        """Drop the copies of a partition: its log is not followed any more, or was lost."""
        part = self._partitions.pop(partition, None)
        if part:
            for key in part.keys:
                self.size -= self._copies.pop(key).size

    def keep(self, partition: int, keys: Sequence[Key], read: Read, begun: float) -> None:
        """Keep entries as the store answered them, in full, to a read that was begun then."""
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

    def look(self, partition: int, keys: Sequence[Key], fence: int, now: float) -> Read | None:
        """Entries, together as of the position. None where one is not known as of the fence."""
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
    """Which of the keys an event is about."""
    if event.kind == "floor":
        tenant_id, scope = event.tenant_id, event.scope
        return [key for key in keys if key.tenant_id == tenant_id and scope in ("", key.scope)]
    return [event.key] if event.key is not None and event.key in keys else []
