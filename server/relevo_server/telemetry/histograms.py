"""Histograms of durations, in plain numbers.

The SDK's own takes as long to record one duration as a read from memory takes as a whole. So
durations are counted here, and `durations` adds them to what the SDK collects.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from time import time_ns


class Series:
    """The durations of one set of attributes. One thread records; any may read, `counts` first."""

    __slots__ = ("_bounds", "attributes", "counts", "max", "min", "started", "total")

    def __init__(self, attributes: Mapping[str, str], bounds: Sequence[float]) -> None:
        self.attributes = dict(attributes)
        self.counts = [0] * (len(bounds) + 1)
        """The number of durations in each bucket; the last one has no upper bound."""
        self.total = 0.0
        """The sum of the durations, in seconds."""
        self.min = float("inf")
        self.max = 0.0
        self.started = time_ns()
        """The beginning of the series, in nanoseconds since 1970."""
        self._bounds = bounds

    def record(self, seconds: float) -> None:
        """Count one duration."""
        self.total += seconds
        if seconds > self.max:
            self.max = seconds
        if seconds < self.min:
            self.min = seconds
        # Last: what a reader finds counted is in the sum, the least and the greatest already.
        self.counts[bisect_left(self._bounds, seconds)] += 1


class Histogram:
    """Durations in seconds by attributes. `bounds` are the upper bounds of the buckets."""

    def __init__(self, name: str, description: str, bounds: Sequence[float]) -> None:
        self.name = name
        self.description = description
        self.bounds = tuple(bounds)
        self._series: dict[tuple[tuple[str, str], ...], Series] = {}

    def series(self, attributes: Mapping[str, str]) -> Series:
        """The durations with these attributes. Keep it: finding it takes longer than recording."""
        name = tuple(sorted(attributes.items()))
        found = self._series.get(name)
        if found is None:
            found = self._series[name] = Series(attributes, self.bounds)
        return found

    def all(self) -> Sequence[Series]:
        """Every series that there is now."""
        return list(self._series.values())
