"""The counters of clients: plain integers, which observable instruments read.

An increment of one of them (`counts.hits += 1`, `counts.resets[reason] += 1`) cannot be
interrupted by another thread of CPython: none of its steps calls a Python function.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

Tally = defaultdict[str, int]
Pairs = defaultdict[tuple[str, str], int]


@dataclass
class CacheCounts:
    """Counters of a client's near cache since the client was made."""

    hits: int = 0
    """Contexts that were resolved from the cache."""
    misses: int = 0
    """Contexts that were requested from the store."""
    pushes: int = 0
    """Events that the store has pushed: changes and invalidations of entries."""
    evictions: int = 0
    """Entries that were evicted to keep to the bounds."""
    streams: int = 0
    """Watch streams that the store has answered."""

    @property
    def reconnects(self) -> int:
        """The Watch streams after the first one."""
        return max(0, self.streams - 1)


class CacheFigures(NamedTuple):
    """The present state of a near cache."""

    entries: int
    """The number of cached entries, including cached absences."""
    size: int
    """Their serialized size in bytes."""
    staleness: float | None
    """Seconds since the last proof that the copies were current; None before the first one. Of
    several partitions it is the one whose proof is the oldest."""
    is_connected: bool
    """Whether a Watch stream is open that the store has answered."""


class Counts:
    """The counters of all clients of a process, except those of their caches."""

    def __init__(self) -> None:
        self.resolutions = Pairs(int)
        """Resolutions by source and outcome, without the hits of near caches."""
        self.fallbacks = Pairs(int)
        """Fallbacks that were taken, by the policy's case and the fallback."""
        self.creations = Tally(int)
        """Calls of factories and loaders, by outcome."""
        self.snapshots = Tally(int)
        """Snapshots that turns have put, by outcome."""
        self.resets = Tally(int)
        """Partitions of caches that were reset, by reason."""
        self.sampler_checks = Tally(int, current=0, stale=0, wrong=0)
        """Answers of near caches that were compared with the store, by outcome."""
        self.sent = self.sent_refused = 0
        """References that went out, and those that no metadata has room for."""
        self.returned = self.heard = self.heard_refused = 0
        """Answers that took a newer revision back; those that brought one; and malformed ones."""
        self.received = self.received_ignored = self.received_refused = 0
        """References that came in and are used; those of callers that are not trusted; and those
        that are malformed or not authorized."""
        self.riders = Tally(int, sent=0, no_room=0, used=0)
        """Riders, by outcome: sent, left out of a call whose metadata has no room, used, and
        those that were refused, by the reason."""


COUNTS = Counts()
"""The counts of this process."""
