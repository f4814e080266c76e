"""`Remaining`: how long work still takes, judged by what it took so far."""

from relevo_look import units


class Remaining:
    """An estimate of the time that is left. It reads no clock: each method is told the time.

    Args:
        weight: the size of all work, in any unit: a number of steps, or the seconds that the
            steps are expected to take.
        begun: when the work began, in seconds of a monotonic clock.
        pace: the seconds that a unit is expected to take, or None if unknown. It counts only
            until something is done: then the work's own pace is the better estimate.

    """

    def __init__(self, weight: float, begun: float, pace: float | None = None) -> None:
        self._weight = weight
        self._begun = begun
        self._pace = pace
        self._done = 0.0
        self._last = begun

    def advance(self, weight: float, now: float) -> None:
        """Count a part of the work as done."""
        self._done += weight
        self._last = now
        if self._done > 0:
            self._pace = (now - self._begun) / self._done

    def left(self, now: float) -> float | None:
        """The seconds that are left, 0 or more; None if nothing tells yet."""
        if self._pace is None:
            return None
        at_last = self._pace * max(self._weight - self._done, 0.0)
        return max(at_last - (now - self._last), 0.0)


def left_text(seconds: float) -> str:
    """The time that is left as text, for example `about 7m 40s left`."""
    return f"about {units.duration(max(1, round(seconds)))} left"
