"""Counts times in buckets: how many were how long, in bounded memory. Pure."""

from bisect import bisect_left
from math import inf

BOUNDS = tuple(
    decade * step for decade in (0.0001, 0.001, 0.01, 0.1, 1.0) for step in (1, 2, 3, 5, 7)
)
"""The upper bounds of the buckets, in seconds; what is longer is in a last one."""


class Distribution:
    """A distribution of durations, in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.count = 0
        """The number of times."""
        self.longest = 0.0
        """The longest of them; 0 if there are none."""

    def add(self, seconds: float) -> None:
        """Count a time."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.count += 1
        self.longest = max(self.longest, seconds)

    def quantile(self, share: float) -> float | None:
        """A bound that this share (0 to 1) of the times is not beyond; None if there are none."""
        needed, seen = share * self.count, 0
        for count, bound in zip(self._counts, (*BOUNDS, inf), strict=True):
            seen += count
            if self.count and seen >= needed:
                return min(bound, self.longest)
        return None
