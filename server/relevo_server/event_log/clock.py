"""The clock of this process, as Watch streams tell it to clients."""

import time

# Not slewed, if the system has such a clock: NTP may make the usual one run percents too fast.
# While the machine sleeps, it stands still: clients then take what they hear for older than it is.
_CLOCK = getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
_BEGIN = time.clock_gettime_ns(_CLOCK)


def server_time() -> int:
    """The microseconds since this process began, at least 1."""
    return (time.clock_gettime_ns(_CLOCK) - _BEGIN) // 1000 + 1
