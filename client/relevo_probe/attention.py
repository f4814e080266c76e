"""Tells readers which tenants are written to at the moment, so that they look closely there."""

import threading
import time
from collections.abc import Callable
from math import inf, nextafter

_AFTER = 0.03
"""Seconds after a round for which readers look as often as they can."""
_LAST = nextafter(inf, 0)
"""A time after all others but the end of a round that has not ended."""


class Attention:
    """What writers tell readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = threading.Condition(self._lock)
        self._until: dict[str, float] = {}
        self._over = threading.Event()
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
        """Say that the run is over."""
        self._over.set()
        with self._begun:
            self._begun.notify_all()
        self.wake()

    @property
    def is_over(self) -> bool:
        """Whether the run is over."""
        return self._over.is_set()

    def tenants(self, *, just_now: bool = True) -> set[str]:
        """The tenants that are written to now, or with `just_now` were so a moment ago."""
        now = time.monotonic() if just_now else _LAST
        with self._lock:
            return {tenant for tenant, until in self._until.items() if now < until}

    def wait(self, seconds: float) -> None:
        """Wait for the next round, or for the end of the run, for so many seconds at most."""
        with self._begun:
            if not self.is_over:
                self._begun.wait(seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Wait for the end of the run, for so many seconds at most."""
        if seconds > 0:
            self._over.wait(seconds)
