"""The distribution of simulated times."""

from bisect import bisect_left
from itertools import accumulate

_POINTS = 64
"""Times that stand for a row of messages, at most."""


class Delays:
    """Weighted times, in seconds."""

    def __init__(self) -> None:
        self._times: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(self, seconds: float, weight: float = 1.0) -> None:
        """Add a time that came so often."""
        self._times.append((seconds, weight))

    def add_row(self, first: float, step: float, number: int) -> None:
        """Add `number` times, the first one and each later one a step after the one before."""
        points = min(number, _POINTS)
        for i in range(points):
            place = i * (number - 1) / max(points - 1, 1)
            self.add(first + step * place, number / points)

    def quantile(self, share: float) -> float:
        """The shortest time that at least this share (0 to 1) of all times does not exceed."""
        times = sorted(self._times)
        sums = list(accumulate(weight for _, weight in times))
        # Sums of fractions are rounded: what is a hair short of the share has reached it.
        place = bisect_left(sums, share * sums[-1] * (1 - 1e-12))
        return times[min(place, len(times) - 1)][0]
