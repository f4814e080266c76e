"""The near caches of a process: their counters together, and the present state of each.

The counters of a collected cache stay in the sums, so that no sum decreases. A forked child starts
at 0, as its parent reports the earlier counts.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol
from weakref import ref

from relevo_client._telemetry.counts import COUNTS, CacheCounts, CacheFigures, Counts


class Cache(Protocol):
    """A near cache with its driver."""

    def figures(self) -> CacheFigures | None:
        """The present state of the cache; None once it is closed. Called in any thread."""
        ...


class Caches:
    """The near caches of a process, held weakly. Safe for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[ref[Cache], CacheCounts] = {}
        # The callback of a weak reference takes no lock, as it may interrupt the thread that
        # holds it: it only queues the reference.
        self._gone: deque[ref[Cache]] = deque()
        self._counted_by_gone: dict[str, int] = dict.fromkeys(_FIELDS, 0)

    def add(self, cache: Cache, counts: CacheCounts) -> None:
        """Add a cache, which counts in `counts`."""
        with self._lock:
            self._forget_gone()
            self._counts[ref(cache, self._gone.append)] = counts

    def unused(self) -> Sequence[tuple[Cache, CacheCounts]]:
        """The caches that have counted nothing yet. Takes no lock: for a forked child."""
        counted = [(each(), counts) for each, counts in self._counts.items()]
        return [(cache, counts) for cache, counts in counted if cache and counts == CacheCounts()]

    def total(self, field: str) -> int:
        """The sum of a counter over all caches that there are or have been."""
        with self._lock:
            self._forget_gone()
            present: int = sum(getattr(counts, field) for counts in self._counts.values())
            return self._counted_by_gone[field] + present

    def figures(self) -> Iterator[CacheFigures]:
        """The present states of the caches that are not closed."""
        with self._lock:
            present = [cache for each in self._counts if (cache := each())]
        for cache in present:
            figures = cache.figures()
            if figures:
                yield figures

    def _forget_gone(self) -> None:
        while self._gone:
            counts = self._counts.pop(self._gone.popleft())
            for field in _FIELDS:
                self._counted_by_gone[field] += getattr(counts, field)


_FIELDS = ("hits", "misses", "pushes", "evictions", "reconnects")

CACHES = Caches()
"""The near caches of this process."""


def _begin_anew() -> None:
    # In place, as many modules hold them; and with a new lock, as a thread of the parent may
    # have held the old one.
    unused = CACHES.unused()  # of clients that the child may use
    vars(COUNTS).update(vars(Counts()))
    vars(CACHES).update(vars(Caches()))
    for cache, counts in unused:
        CACHES.add(cache, counts)


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    os.register_at_fork(after_in_child=_begin_anew)
