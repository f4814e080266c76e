"""The end of a budget, which every stage that spends of it shares.

Whoever gets a timeout makes one `Deadline` of it, once, and hands that down: each stage
then has what the stages before it have left. A number of seconds that is handed down
instead is spent anew by each stage.
"""

import math
import time
from collections.abc import Callable
from typing import Self


class Deadline:
    """A point in time until which something may take; never, if it is unbounded.

    Make one with `after`. The clock is monotonic, so nobody can set it.
    """

    __slots__ = ("_clock", "_end")

    def __init__(self, end: float, clock: Callable[[], float]) -> None:
        self._end = end
        self._clock = clock

    @classmethod
    def after(cls, seconds: float | None, *, clock: Callable[[], float] = time.monotonic) -> Self:
        """The deadline so many seconds from now; None for no bound."""
        return cls(math.inf if seconds is None else clock() + seconds, clock)

    def remaining(self) -> float | None:
        """The seconds that are left, at least 0; None for no bound, as timeouts have it."""
        return None if self._end == math.inf else max(0.0, self._end - self._clock())

    def within(self, seconds: float) -> "Deadline":
        """The earlier one of this deadline and so many seconds from now."""
        return Deadline(min(self._end, self._clock() + seconds), self._clock)

    def half(self) -> "Deadline":
        """The deadline after half of what is left; the other half is for what comes then."""
        now = self._clock()
        return Deadline(now + max(0.0, self._end - now) / 2, self._clock)


UNBOUNDED = Deadline.after(None)
"""The deadline that never comes."""
