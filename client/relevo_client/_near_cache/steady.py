"""The clock of a near cache: nobody sets it, it never goes back, and it counts sleep."""

import time
from collections.abc import Callable
from functools import partial

# Of Linux. The monotonic clock of macOS counts sleep too, unlike `time.monotonic` there.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# No function of Python's: each hit reads it.
now: Callable[[], float] = partial(time.clock_gettime, _CLOCK)
"""The clock's reading, in seconds."""
