"""The record of a run: what was written and read by all threads, what was found, and counts."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from relevo_client import ContextRef, Reason, RelevoError

from relevo_probe.checker import Checker
from relevo_probe.distribution import Distribution
from relevo_probe.history import Read, Write
from relevo_probe.metrics import Metrics
from relevo_probe.rules import Check, Violation

_SHOWN = 20
"""Violations that are kept for the summary: the first ones say most."""
_NO_EFFECT = {Reason.INVALID_FIELD, Reason.CONTEXT_TOO_LARGE}
"""Reasons by which a write has no effect: they are the same for each attempt of a call.

After all others it may have one. A call that is refused for its token or its rate may be the
repetition of one that was executed, and whose answer was lost.
"""


class Record:
    """A checker that any number of threads share.

    `on_violation` is called with each violation, by the thread that has found it.
    """

    def __init__(
        self,
        *,
        max_staleness: float,
        call_timeout: float,
        metrics: Metrics,
        on_violation: Callable[[Violation], None] = lambda _: None,
    ) -> None:
        self._lock = threading.RLock()
        self._metrics = metrics
        self._on_violation = on_violation
        self._checker = Checker(
            max_staleness=max_staleness,
            call_timeout=call_timeout,
            report=self._violated,
            stale=self._shown,
        )
        self._counted: Counter[Check] = Counter()
        self.staleness = Distribution()
        """The times from acknowledged writes until near caches showed them."""
        self.found: list[Violation] = []
        """The first violations."""
        self.writes = 0
        """Acknowledged writes."""
        self.answers: Counter[str] = Counter()
        """Answers by their source, and `none` for near caches that had none."""
        self.failures: Counter[str] = Counter()
        """Failed calls by their reason."""

    def add_near_cache(self, name: str) -> None:
        """Expect a near cache to show the writes from now on."""
        with self._lock:
            self._checker.add_near_cache(name)

    def remove_near_cache(self, name: str) -> None:
        """Forget a near cache that is closed."""
        with self._lock:
            self._checker.remove_near_cache(name)

    def fence(self, tenant_id: str) -> int:
        """The greatest known revision of a tenant."""
        with self._lock:
            return self._checker.fence(tenant_id)

    def unseen(self, name: str) -> set[str]:
        """The tenants of which a near cache has not shown all acknowledged Puts yet."""
        with self._lock:
            return self._checker.unseen(name)

    def forget_unseen(self, name: str) -> None:
        """Measure nothing of the Puts that a near cache has not shown yet."""
        with self._lock:
            self._checker.forget_unseen(name)

    def begin(self, write: Write) -> None:
        """Record a write that is sent now. Must be followed by `end` or `give_up`."""
        with self._lock:
            write.begin = time.monotonic()
            self._checker.begin(write)

    def end(self, write: Write, outcome: int | RelevoError) -> None:
        """Record the revision of a write, or the error that it has ended with."""
        now = time.monotonic()
        with self._lock:
            if isinstance(outcome, int):
                self._checker.acknowledge(write, outcome, now)
                self.writes += 1
            else:
                self._checker.fail(write, now, is_refused=outcome.reason in _NO_EFFECT)
                self.fail(outcome)
            self._count()

    def give_up(self, write: Write) -> None:
        """Record that nobody will know the outcome of a write."""
        with self._lock:
            self._checker.fail(write, time.monotonic())

    def behind(self, ref: ContextRef, now: float) -> None:
        """Record that the store says that it has not reached the reference's revision."""
        with self._lock:
            self._checker.behind(ref.key, ref.revision, now)
            self._count()

    def observe(self, reads: Iterable[Read | None]) -> None:
        """Record answers; None stands for a near cache that had none."""
        with self._lock:
            for read in reads:
                self.answers[read.source if read else "none"] += 1
                if read:
                    self._checker.observe(read)
            self._count()

    def fail(self, error: RelevoError) -> None:
        """Count a failed call. Unavailability is no violation."""
        with self._lock:
            self.failures[str(error.reason)] += 1
        self._metrics.failed(str(error.reason))

    @property
    def checks(self) -> Counter[Check]:
        """The number of checks of each promise."""
        with self._lock:
            return Counter(self._checker.checks)

    @property
    def violations(self) -> Counter[Check]:
        """The number of violations of each promise."""
        with self._lock:
            return Counter(self._checker.violations)

    def _count(self) -> None:
        for check, number in self._checker.checks.items():
            more = number - self._counted[check]
            if more:
                self._metrics.checked(check, more)
                self._counted[check] = number

    def _violated(self, violation: Violation) -> None:
        if len(self.found) < _SHOWN:
            self.found.append(violation)
        self._metrics.violated(violation.check)
        self._on_violation(violation)

    def _shown(self, seconds: float) -> None:
        self.staleness.add(seconds)
        self._metrics.stale(seconds)
