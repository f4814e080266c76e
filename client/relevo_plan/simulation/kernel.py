"""The clock of a simulation, and the queues of what does one thing at a time."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Action = Callable[[], None]


class Kernel:
    """Runs actions at their times, those of the same time in the order in which they were given."""

    def __init__(self) -> None:
        self.now = 0.0
        """The simulated time, in seconds."""
        self._numbers = count()
        self._due: list[tuple[float, int, Action]] = []

    def at(self, time: float, action: Action) -> None:
        """Run an action at a time that is not over."""
        heappush(self._due, (time, next(self._numbers), action))

    def after(self, seconds: float, action: Action) -> None:
        """Run an action in so many seconds."""
        self.at(self.now + seconds, action)

    def run(self, until: float | None = None) -> None:
        """Run all actions up to a time, in order; without one, until there are no more."""
        while self._due and (until is None or self._due[0][0] <= until):
            self.now, _, action = heappop(self._due)
            action()
        if until is not None:
            self.now = until


class Queue:
    """A queue that does one thing at a time, first come first served: an event loop, or Redis."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._free = 0.0
        self.busy = 0.0
        """The seconds of work that it was given."""

    def take(self, seconds: float) -> float:
        """Queue work of so many seconds. Returns the time at which it ends."""
        self._free = max(self._kernel.now, self._free) + seconds
        self.busy += seconds
        return self._free

    def do(self, seconds: float, then: Action, delay: float = 0.0) -> None:
        """Queue work, and run an action so many seconds after its end."""
        self._kernel.at(self.take(seconds) + delay, then)
