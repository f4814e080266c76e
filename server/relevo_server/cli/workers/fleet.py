"""Starts, replacements and ends of workers: a state machine without I/O that reads no clock.

Each worker has a number, and is one process after another. Whoever drives the machine tells it what
happened, and carries out what it answers. Times are seconds of a monotonic clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

SETTLED = 10.0
"""Seconds after which a process that serves is no failed start: if it dies, the next one begins at
once."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
"""Seconds before the second process in a row that does not settle is replaced, doubled for each
further one, up to the longest."""
MOST_FAILED_STARTS = 3
"""Starts that fail one after the other, while no worker serves, before the server ends."""


class Start(NamedTuple):
    """Start a process of a worker."""

    process: int
    """A number that no process had before."""
    worker: int
    is_renewal: bool
    """Whether it replaces one that still serves, in a rolling restart."""


class Drain(NamedTuple):
    """Tell a process to end in order."""

    process: int


class Kill(NamedTuple):
    """End a process at once."""

    process: int


class GiveUp(NamedTuple):
    """The server ends, since this process could not start. Drains follow."""

    process: int


class Renewed(NamedTuple):
    """A rolling restart is over: every worker was replaced."""


class NotRenewed(NamedTuple):
    """A rolling restart is over, since this process could not start; the former workers go on."""

    process: int


Action: TypeAlias = Start | Drain | Kill | GiveUp | Renewed | NotRenewed


@dataclass(slots=True)
class _Process:
    worker: int
    is_ready: bool = False
    is_leaving: bool = False
    ready_at: float = 0.0


@dataclass(slots=True)
class _Worker:
    current: int | None = None
    """The process that serves, or is to serve; None while its start is due."""
    renewal: int | None = None
    """The process that is to replace it."""
    failures: int = 0
    """The number of processes in a row that have not settled."""
    due: float = 0.0
    """The time at which the next process starts, if there is none."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is no process, so that one has to be started."""
        return self.current is None and self.renewal is None


class Fleet:
    """Keeps `workers` workers running."""

    def __init__(self, workers: int) -> None:
        self._workers = {number: _Worker() for number in range(1, workers + 1)}
        self._processes: dict[int, _Process] = {}
        self._last = 0
        self._failed_starts = 0
        self._to_renew: list[int] = []
        self._renews_again = False
        self._is_renewing = False
        self.has_started = False
        """Whether all workers have been ready."""
        self.is_stopping = False

    @property
    def is_over(self) -> bool:
        """Whether the server was to end, and every process has ended."""
        return self.is_stopping and not self._processes

    @property
    def due(self) -> float | None:
        """The time at which `tick` has something to start; None if never."""
        waiting = [each.due for each in self._workers.values() if each.is_waiting]
        return min(waiting) if waiting and not self.is_stopping else None

    @property
    def ready(self) -> list[int]:
        """The processes that serve, in the order of their workers; none that is leaving."""
        found = [
            (each.worker, process)
            for process, each in self._processes.items()
            if each.is_ready and not each.is_leaving
        ]
        return [process for _, process in sorted(found)]

    def tick(self, now: float) -> list[Action]:
        """Start what is due: at the beginning, every worker."""
        if self.is_stopping:
            return []
        return [
            self._start(number, is_renewal=False)
            for number, each in self._workers.items()
            if each.is_waiting and each.due <= now
        ]

    def became_ready(self, process: int, now: float) -> list[Action]:
        """A process serves."""
        found = self._processes[process]
        found.is_ready, found.ready_at = True, now
        if self.is_stopping:
            return []
        self._failed_starts = 0
        worker = self._workers[found.worker]
        actions: list[Action] = []
        if worker.renewal == process:
            former, worker.current, worker.renewal = worker.current, process, None
            worker.failures = 0
            if former is None:
                actions += self._renew()
            else:
                self._processes[former].is_leaving = True
                actions.append(Drain(former))
        if all(self._is_ready(each.current) for each in self._workers.values()):
            self.has_started = True
        return actions

    def ended(self, process: int, now: float) -> list[Action]:
        """A process has ended, whatever the reason."""
        found = self._processes.pop(process)
        worker = self._workers[found.worker]
        if self.is_stopping:
            return []
        if found.is_leaving:
            return list(self._renew())
        actions: list[Action] = []
        if worker.renewal == process:
            worker.renewal = None
            actions += self._not_renewed(process)
        else:
            worker.current = None
        if worker.current is not None or worker.renewal is not None:
            return actions  # another process serves, or is on the way
        if not found.is_ready:
            self._failed_starts += 1
            if self._is_hopeless():
                return [*actions, GiveUp(process), *self.stop()]
        has_settled = found.is_ready and now - found.ready_at >= SETTLED
        worker.failures = 0 if has_settled else worker.failures + 1
        worker.due = now + _delay(worker.failures)
        return [*actions, *self.tick(now)]

    def renew(self) -> list[Action]:
        """Begin a rolling restart: each worker is replaced once its replacement serves.

        If one is under way, another one follows.
        """
        if self.is_stopping:
            return []
        if self._is_renewing:
            self._renews_again = True
            return []
        self._is_renewing = True
        self._to_renew = list(self._workers)
        return list(self._renew())

    def stop(self) -> list[Action]:
        """End every process in order. Nothing is started any more."""
        self.is_stopping = True
        self._to_renew, self._is_renewing, self._renews_again = [], False, False
        return [Drain(process) for process in self._processes]

    def kill(self) -> list[Action]:
        """End every process at once."""
        self.is_stopping = True
        return [Kill(process) for process in self._processes]

    def _start(self, number: int, *, is_renewal: bool) -> Start:
        self._last += 1
        self._processes[self._last] = _Process(number)
        if is_renewal:
            self._workers[number].renewal = self._last
        else:
            self._workers[number].current = self._last
        return Start(self._last, number, is_renewal)

    def _renew(self) -> Iterator[Action]:
        """The next step of a rolling restart, if there is one."""
        if not self._is_renewing:
            return
        if self._to_renew:
            yield self._start(self._to_renew.pop(0), is_renewal=True)
            return
        yield Renewed()
        yield from self._end_renewal()

    def _not_renewed(self, process: int) -> Iterable[Action]:
        yield NotRenewed(process)
        yield from self._end_renewal()

    def _end_renewal(self) -> Iterable[Action]:
        self._is_renewing, self._to_renew = False, []
        if self._renews_again:
            self._renews_again = False
            yield from self.renew()

    def _is_hopeless(self) -> bool:
        """Whether the server should end, now that a start has failed."""
        if not self.has_started:
            return True
        return not self.ready and self._failed_starts >= MOST_FAILED_STARTS

    def _is_ready(self, process: int | None) -> bool:
        return process is not None and self._processes[process].is_ready


def _delay(failures: int) -> float:
    """Seconds before the next start, after so many failures in a row."""
    if not failures:
        return 0.0
    return min(FIRST_DELAY * 2.0 ** min(failures - 1, 16), LONGEST_DELAY)
