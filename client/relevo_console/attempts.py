"""Attempts: a limit for failed sign-ins, so that nobody tries tokens one after another."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

_MOST = 5
"""Failures of one address within the time."""
_MOST_OF_ALL = 50
"""Failures of all addresses together within the time."""
_WITHIN = 60.0
"""Seconds."""
_ADDRESSES = 10_000
"""The addresses that are remembered; beyond them, the limit of all still holds."""


class Attempts:
    """Counts failures by address. It decides only; the page waits or refuses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=_MOST_OF_ALL)

    def wait(self, address: str) -> float:
        """The seconds until an address may try again, 0 if it may now."""
        now = self._clock()
        own: Sequence[float] = self._failures.get(address, ())
        waits = [0.0]
        if len(own) == _MOST:
            waits.append(own[0] + _WITHIN - now)
        if len(self._all) == _MOST_OF_ALL:
            waits.append(self._all[0] + _WITHIN - now)
        return max(waits)

    def fail(self, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._failures.setdefault(address, deque(maxlen=_MOST)).append(now)
        self._failures.move_to_end(address)
        self._all.append(now)
        while len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)
