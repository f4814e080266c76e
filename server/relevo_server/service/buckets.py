"""Token buckets: rates with bursts."""

import math


class Bucket:
    """A bucket that is full at first. Times are seconds of a clock that never goes back.

    The rate and the burst are given with each call, since they may change. What takes more than
    the burst passes if the bucket is full, and later ones wait for it.
    """

    __slots__ = ("_at", "_level")

    def __init__(self) -> None:
        self._level = math.inf
        self._at = 0.0

    def take(self, count: float, now: float, rate: float, burst: float) -> float:
        """Take tokens. Returns 0, or how many seconds later there will be enough of them."""
        level = self._level_at(now, rate, burst)
        missing = max(1, min(count, burst)) - level
        if missing > 0:
            return missing / rate if rate else math.inf
        self._level, self._at = level - count, now
        return 0.0

    def is_full(self, now: float, rate: float, burst: float) -> bool:
        """Whether nothing was taken that has not come back since."""
        return self._level_at(now, rate, burst) >= burst

    def _level_at(self, now: float, rate: float, burst: float) -> float:
        if math.isinf(rate):
            return burst
        return min(burst, self._level + (now - self._at) * rate)
