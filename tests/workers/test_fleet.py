"""When workers are started, replaced and ended, in any order of what happens."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from hypothesis.strategies import DataObject, data, floats, integers
from relevo_server.cli.workers.fleet import (
    FIRST_DELAY,
    LONGEST_DELAY,
    MOST_FAILED_STARTS,
    SETTLED,
    Action,
    Drain,
    Fleet,
    GiveUp,
    Kill,
    NotRenewed,
    Renewed,
    Start,
)


class Machine(RuleBasedStateMachine):
    """A fleet, and processes that begin to serve and end as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.worker: dict[int, int] = {}
        """The worker of each process that lives."""
        self.ready: set[int] = set()
        self.leaving: set[int] = set()
        self.renewals_begun = self.renewals_over = 0

    @initialize(workers=integers(1, 4))
    def begin(self, workers: int) -> None:
        """All workers start."""
        self.workers = workers
        self.fleet = Fleet(workers)
        self.act(self.fleet.tick(self.now))
        assert sorted(self.worker.values()) == list(range(1, workers + 1))

    @rule(seconds=floats(0.01, 30))
    def wait(self, seconds: float) -> None:
        """Time passes, and what is due is started."""
        self.now += seconds
        self.act(self.fleet.tick(self.now))
        due = self.fleet.due
        assert due is None or due > self.now

    @precondition(lambda self: self.worker.keys() - self.ready)
    @rule(data=data())
    def serve(self, data: DataObject) -> None:
        """A process serves."""
        process = self.drawn(data, self.worker.keys() - self.ready)
        self.ready.add(process)
        self.act(self.fleet.became_ready(process, self.now))

    @precondition(lambda self: self.worker)
    @rule(data=data())
    def end(self, data: DataObject) -> None:
        """A process ends."""
        process = self.drawn(data, self.worker.keys())
        del self.worker[process]
        for each in (self.ready, self.leaving):
            each.discard(process)
        self.act(self.fleet.ended(process, self.now))

    @rule()
    def renew(self) -> None:
        """Somebody asks for a rolling restart."""
        self.act(self.fleet.renew())

    @rule()
    def stop(self) -> None:
        """Somebody ends the server: every process is told so, and none starts any more."""
        self.act(self.fleet.stop())
        assert self.leaving == self.worker.keys()

    @invariant()
    def no_worker_is_forgotten(self) -> None:
        """Each worker has a process, or one is due within the longest delay."""
        if self.fleet.is_stopping:
            assert self.fleet.is_over == (not self.worker)
            return
        staying = [w for process, w in self.worker.items() if process not in self.leaving]
        if len(set(staying)) < self.workers:
            assert self.fleet.due is not None
            assert self.fleet.due <= self.now + LONGEST_DELAY

    @invariant()
    def few_more_than_workers(self) -> None:
        """A rolling restart needs room for one process more, and for no other."""
        assert len(self.worker) <= self.workers + 1

    @invariant()
    def those_that_serve_are_known(self) -> None:
        """`ready` has what serves, in the order of workers."""
        expected = self.ready if not self.fleet.is_stopping else self.ready & set(self.fleet.ready)
        assert set(self.fleet.ready) == expected - self.leaving or self.fleet.is_stopping
        assert [self.worker[each] for each in self.fleet.ready] == sorted(
            self.worker[each] for each in self.fleet.ready
        )

    def drawn(self, data: DataObject, processes: Iterable[int]) -> int:
        """One of some processes."""
        found = sorted(processes)
        return found[data.draw(integers(0, len(found) - 1))]

    def act(self, actions: Sequence[Action]) -> None:
        """Carry out what the fleet wants, and check that it may."""
        has_given_up = False
        for action in actions:
            match action:
                case Start(process, worker, is_renewal):
                    assert process not in self.worker
                    assert not self.fleet.is_stopping
                    others = [p for p, w in self.worker.items() if w == worker]
                    assert is_renewal or all(each in self.leaving for each in others)
                    self.worker[process] = worker
                case Drain(process):
                    assert process in self.worker
                    self.leaving.add(process)
                    if not self.fleet.is_stopping:
                        # Never fewer: another process of this worker has begun to serve.
                        number = self.worker[process]
                        assert any(
                            self.worker[each] == number for each in self.ready - self.leaving
                        )
                case Kill(process):
                    assert process in self.worker
                case GiveUp():
                    has_given_up = True
                    assert not (self.ready - self.leaving) or not self.fleet.has_started
                case Renewed() | NotRenewed():
                    pass
        assert not has_given_up or self.fleet.is_stopping


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40)


def started(workers: int = 2) -> Fleet:
    """A fleet whose workers serve since second 0, as the processes 1, 2 and so on."""
    fleet = Fleet(workers)
    starts = fleet.tick(0)
    for action in starts:
        assert isinstance(action, Start)
        fleet.became_ready(action.process, 0)
    assert fleet.has_started
    return fleet


def test_a_start_that_fails_ends_the_server() -> None:
    """Before all workers have served, one that cannot start ends the server."""
    fleet = Fleet(2)
    fleet.tick(0)
    fleet.became_ready(1, 1)
    assert fleet.ended(2, 1) == [GiveUp(2), Drain(1)]
    assert not fleet.is_over
    assert fleet.ended(1, 2) == []
    assert fleet.is_over


def test_one_that_has_settled_is_replaced_at_once() -> None:
    """A process that has served for a while is no failed start."""
    fleet = started()
    assert fleet.ended(1, SETTLED) == [Start(3, 1, is_renewal=False)]


def test_the_delay_grows() -> None:
    """Each further process that does not settle is replaced later, up to a limit."""
    fleet = started(1)
    now, process = 0.0, 1
    delays: list[float] = []
    for _ in range(12):
        assert fleet.ended(process, now) == []
        assert fleet.due is not None
        delays.append(fleet.due - now)
        now = fleet.due
        assert fleet.tick(now - 0.001) == []
        (start,) = fleet.tick(now)
        assert isinstance(start, Start)
        process = start.process
        fleet.became_ready(process, now)
    assert round(delays[0], 9) == FIRST_DELAY
    assert all(round(b / a, 6) == 2 or round(b, 6) == LONGEST_DELAY for a, b in pairwise(delays))
    assert round(delays[-1], 6) == LONGEST_DELAY
    fleet.ended(process, now + SETTLED)
    assert fleet.due is None, "it has settled: the next one has started"


def test_no_start_succeeds_any_more() -> None:
    """If no worker serves, and none can start, the server ends after some attempts."""
    fleet = started()
    fleet.ended(1, 1)
    fleet.ended(2, 1)
    failed, now = 0, 1.0
    while not fleet.is_stopping:
        assert fleet.due is not None
        now = fleet.due
        for action in fleet.tick(now):
            assert isinstance(action, Start)
            failed += 1
            if any(isinstance(each, GiveUp) for each in fleet.ended(action.process, now)):
                break
    assert failed == MOST_FAILED_STARTS


def test_while_one_serves_the_server_goes_on() -> None:
    """A worker that cannot start does not end a server whose other workers serve."""
    fleet = started()
    fleet.ended(1, 1)
    for _ in range(3 * MOST_FAILED_STARTS):
        assert fleet.due is not None
        now = fleet.due
        (start,) = fleet.tick(now)
        assert isinstance(start, Start)
        fleet.ended(start.process, now)
    assert not fleet.is_stopping
    assert fleet.ready == [2]


def test_a_rolling_restart() -> None:
    """A worker is told to end when its replacement serves; the next one follows after its end."""
    fleet = started()
    assert fleet.renew() == [Start(3, 1, is_renewal=True)]
    assert fleet.became_ready(3, 1) == [Drain(1)]
    assert fleet.ready == [3, 2]
    assert fleet.ended(1, 2) == [Start(4, 2, is_renewal=True)]
    assert fleet.became_ready(4, 3) == [Drain(2)]
    assert fleet.ended(2, 4) == [Renewed()]
    assert fleet.ready == [3, 4]


def test_a_rolling_restart_that_fails() -> None:
    """If a replacement cannot start, the former workers go on, and nothing else is tried."""
    fleet = started()
    fleet.renew()
    assert fleet.ended(3, 1) == [NotRenewed(3)]
    assert fleet.ready == [1, 2]
    assert fleet.due is None


def test_a_rolling_restart_during_another() -> None:
    """If one is asked for meanwhile, another one follows: settings may have changed again."""
    fleet = started(1)
    fleet.renew()
    assert fleet.renew() == []
    fleet.became_ready(2, 1)
    assert fleet.ended(1, 2) == [Renewed(), Start(3, 1, is_renewal=True)]


def test_one_dies_while_it_is_renewed() -> None:
    """Its replacement is on the way: no third process is started, and the restart goes on."""
    fleet = started()
    fleet.renew()
    assert fleet.ended(1, 1) == []
    assert fleet.due is None
    assert fleet.became_ready(3, 2) == [Start(4, 2, is_renewal=True)]
