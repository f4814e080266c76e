"""Tells readers which tenants are written to at the moment, so that they look closely there.

A signal may end the run at any moment, and its handler runs in a thread that may be in the midst
of any method here. So the lock is reentrant, and no method waits without a bound: a notification
that comes between the look at a state and the wait for it is lost.
"""

import threading
import time
from collections.abc import Callable
from math import inf, nextafter

_AFTER = 0.03
"""Seconds after a round for which readers look as often as they can."""
_LAST = nextafter(inf, 0)
"""A time after all others but the end of a round that has not ended."""


class Attention:
    """The messages of writers to readers."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._begun = threading.Condition(self._lock)
        self._over = threading.Condition(self._lock)
        self._is_over = False
        self._until: dict[str, float] = {}
        self.wake: Callable[[], object] = lambda: None
        """Is called, by any thread, when a round begins and when the run is over."""

    def begin(self, tenant_id: str) -> None:
        """Say that a round of writes to a tenant begins."""
        with self._begun:
            self._until[tenant_id] = inf
            self._begun.notify_all()
        self.wake()

    def end(self, tenant_id: str) -> None:
        """Say that it has ended."""
        with self._lock:
            self._until[tenant_id] = time.monotonic() + _AFTER

    def stop(self) -> None:
        """Say that the run is over. A handler of signals may call it."""
        with self._lock:
            self._is_over = True
            self._begun.notify_all()
            self._over.notify_all()
        self.wake()

    @property
    def is_over(self) -> bool:
        """Whether the run is over."""
        return self._is_over

    def tenants(self, *, just_now: bool = True) -> set[str]:
        """The tenants that are written to now, or with `just_now` were so a moment ago."""
        now = time.monotonic() if just_now else _LAST
        with self._lock:
            return {tenant for tenant, until in self._until.items() if now < until}

    def wait(self, seconds: float) -> None:
        """Wait for the next round, or for the end of the run, for so many seconds at most."""
        with self._begun:
            if not self._is_over:
                self._begun.wait(seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Wait for the end of the run, for so many seconds at most."""
        with self._over:
            if seconds > 0 and not self._is_over:
                self._over.wait(seconds)
