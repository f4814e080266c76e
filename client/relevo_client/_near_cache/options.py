"""How a client keeps contexts, and what its cache has done: the public face of the near cache."""

from dataclasses import dataclass

_PINGS = 8
"""How many pings are sent in the time for which copies are trusted."""


@dataclass(frozen=True)
class CacheOptions:
    """How a client keeps contexts."""

    max_staleness: float = 2.0
    """Seconds for which a copy may be used after contact with the store was lost."""
    max_entries: int = 10_000
    """Entries that are kept; the least recently used go first."""
    max_bytes: int = 64 << 20
    """Their serialized size, together."""

    @property
    def ping_interval(self) -> float:
        """Seconds between two signs of life."""
        return self.max_staleness / _PINGS


@dataclass
class CacheCounts:
    """What a cache has done so far."""

    hits: int = 0
    """Contexts that it had."""
    misses: int = 0
    """Contexts for which the store was asked."""
    pushes: int = 0
    """News that came by itself: new values of entries, and ends."""
    evictions: int = 0
    """Entries that were dropped for want of room."""
