"""Deadlines: one time budget that all stages of an operation share.

The function that receives a timeout makes one `Deadline` of it and hands that down: each stage
then has the time that the stages before it have left. If it handed down a number of seconds,
each stage could spend all of them again.
"""

import math
import time
from collections.abc import Callable
from typing import Self


class Deadline:
    """The time by which an operation must end, or no bound.

    Made with `after`. The clock is monotonic, so a change of the system's time has no effect.
    """

    __slots__ = ("_clock", "_end")

    def __init__(self, end: float, clock: Callable[[], float]) -> None:
        self._end = end
        self._clock = clock

    @classmethod
    def after(cls, seconds: float | None, *, clock: Callable[[], float] = time.monotonic) -> Self:
        """The deadline that comes `seconds` from now; None for no bound."""
        return cls(math.inf if seconds is None else clock() + seconds, clock)

    def remaining(self) -> float | None:
        """The seconds left, at least 0, or None for no bound: the form of gRPC's timeouts."""
        return None if self._end == math.inf else max(0.0, self._end - self._clock())

    def within(self, seconds: float) -> "Deadline":
        """The earlier one of this deadline and the one that comes `seconds` from now."""
        return Deadline(min(self._end, self._clock() + seconds), self._clock)

    def half(self) -> "Deadline":
        """The deadline after half of the time left; the other half is for the next stage."""
        now = self._clock()
        return Deadline(now + max(0.0, self._end - now) / 2, self._clock)


UNBOUNDED = Deadline.after(None)
"""A deadline without a bound."""
