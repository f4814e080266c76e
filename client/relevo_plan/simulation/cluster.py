"""The model of workers over Redis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

from relevo_plan.constants import Costs
from relevo_plan.simulation.kernel import Action, Kernel, Queue

_SLOT = 0.001
"""Seconds after which the signs of life that come at any time are done, in one step."""
_BEAT = 0.25
"""Seconds between two answers to a stream's pings."""
_STEP = 0.0002
"""Seconds of work in one step of a burst: other work comes in between."""
_TOGETHER = 16
"""Messages of a change that are sent in one step, at least; at most a 64th of all."""

Told = Callable[[float, float, int], None]
"""Is called for each worker that passes a change on: with the time at which the first of its
watchers has it, the seconds between two of them, and their number."""


@dataclass(frozen=True)
class Call:
    """A kind of call: what it costs a worker and Redis, in seconds."""

    worker: float
    redis: float | None
    """None if Redis is not asked."""


@dataclass(frozen=True)
class Setup:
    """A cluster to be simulated."""

    costs: Costs
    workers: int = 1
    streams: int = 0
    """Idle Watch streams of all workers, which are kept alive."""
    nodes: int = 1
    """The nodes of Redis."""
    delay: float = 0.0
    """Seconds that a message is under way, between any two processes."""
    follows_all: bool = True
    """Whether every worker follows every log. Otherwise only those that have watchers of a key,
    and all streams watch one partition."""

    @property
    def calls(self) -> Mapping[str, Call]:
        """The kinds of calls, by name."""
        costs = self.costs
        return {
            "strong": Call(costs.get_strong, costs.redis_get),
            "cached": Call(costs.get_cached, None),
            "put": Call(costs.put, costs.redis_put),
            "snapshot": Call(costs.snapshot, costs.redis_get + costs.redis_put),
        }


@dataclass
class _Change:
    """An event of a log."""

    watchers: Mapping[int, int]
    """The number of its watchers on each worker that has some."""
    told: Told


@dataclass
class _Log:
    """A partition's log, as one worker follows it."""

    is_read: bool = False
    new: list[_Change] = field(default_factory=list[_Change])


class Cluster:
    """Workers, Redis, and the network between them. Times are those of the kernel."""

    def __init__(self, setup: Setup, kernel: Kernel, random: Random) -> None:
        self._setup, self._kernel, self._random = setup, kernel, random
        self.loops = [Queue(kernel) for _ in range(setup.workers)]
        """The event loops of the workers."""
        self.nodes = [Queue(kernel) for _ in range(setup.nodes)]
        self._partitions = int(setup.costs.partitions)
        self._logs: dict[tuple[int, int], _Log] = {}
        for loop in self.loops if setup.streams else ():
            self._keep_alive(loop, setup.streams / setup.workers)

    def work(self, seconds: float) -> float:
        """The seconds that work takes this time, given its average."""
        variation = self._setup.costs.variation
        if not variation or not seconds:
            return seconds
        shape = 1 / variation**2
        return self._random.gammavariate(shape, seconds / shape)

    def call(self, kind: Call, answered: Action, worker: int | None = None) -> None:
        """Make a call that reads. `answered` is run when the caller has the answer."""
        self._call(kind, answered, self._chosen(worker), self._random.choice(self.nodes))

    def write(
        self, watchers: Mapping[int, int], told: Told, answered: Action, worker: int | None = None
    ) -> None:
        """Make a Put of a key that has so many watchers on each of these workers."""
        partition = self._random.randrange(self._partitions)
        node = self.nodes[partition % len(self.nodes)]
        change = _Change(watchers, told)
        written = partial(self._written, partition, node, change)
        self._call(self._setup.calls["put"], answered, self._chosen(worker), node, written)

    def _chosen(self, worker: int | None) -> Queue:
        return self.loops[self._random.randrange(len(self.loops)) if worker is None else worker]

    def _call(
        self,
        kind: Call,
        answered: Action,
        loop: Queue,
        node: Queue,
        written: Action | None = None,
    ) -> None:
        delay, kernel = self._setup.delay, self._kernel
        if kind.redis is None:
            kernel.after(delay, lambda: loop.do(self.work(kind.worker), answered, delay))
            return
        half, redis = kind.worker / 2, kind.redis

        def begin() -> None:
            loop.do(self.work(half), ask, delay)

        def ask() -> None:
            node.do(self.work(redis), reply)

        def reply() -> None:
            kernel.after(delay, lambda: loop.do(self.work(half), answered, delay))
            if written:
                written()

        kernel.after(delay, begin)

    def _written(self, partition: int, node: Queue, change: _Change) -> None:
        """Tell all workers that follow the partition of an event."""
        followers = range(len(self.loops)) if self._setup.follows_all else change.watchers
        for worker in followers:
            log = self._logs.setdefault((worker, partition), _Log())
            log.new.append(change)
            if not log.is_read:
                log.is_read = True
                self._kernel.after(self._setup.delay, partial(self._read, worker, log, node))

    def _read(self, worker: int, log: _Log, node: Queue) -> None:
        """Read what is new in a log, pass it on, and go on until nothing is new."""
        costs, delay, loop = self._setup.costs, self._setup.delay, self.loops[worker]
        taken: list[_Change] = []

        def ask() -> None:
            more = max(len(log.new) - 1, 0) * costs.redis_event
            node.do(self.work(costs.redis_poll) + more, found)

        def found() -> None:
            taken.extend(log.new)
            log.new.clear()
            reading = self.work(costs.poll / 2) + (len(taken) - 1) * costs.event
            self._kernel.after(delay, lambda: loop.do(reading, read))

        def read() -> None:
            watched = any(worker in each.watchers for each in taken)
            if watched:
                self._kernel.after(delay, lambda: node.do(self.work(costs.redis_get), send, delay))
            else:
                go_on()

        def send() -> None:
            loop.do(self.work(costs.read_value), publish)

        def publish() -> None:
            for change in taken:
                number = change.watchers.get(worker, 0)
                if number:
                    self._send(loop, number, change.told)
            go_on()

        def go_on() -> None:
            log.is_read = bool(log.new)
            if log.is_read:
                self._read(worker, log, node)

        loop.do(self.work(costs.poll / 2), ask, delay)

    def _send(self, loop: Queue, number: int, told: Told) -> None:
        """Queue a change for all of its watchers in one step, then send it in several."""
        costs = self._setup.costs
        each = costs.push * (1 - costs.push_queueing)
        together = max(_TOGETHER, number // 64)
        later = self._setup.delay + costs.push_delay + costs.cache_entry / 2

        def next_step(left: int) -> None:
            some = min(left, together)

            def sent() -> None:
                told(self._kernel.now - (some - 1) * each + later, each, some)
                if left > some:
                    next_step(left - some)

            loop.do(some * each, sent)

        loop.do(number * costs.push * costs.push_queueing, lambda: next_step(number))

    def _keep_alive(self, loop: Queue, streams: float) -> None:
        """Do the signs of life: some at any time, the others for a partition at a time."""
        costs, kernel = self._setup.costs, self._kernel
        whole = streams * costs.idle_stream
        partitions = self._partitions if self._setup.follows_all else 1
        burst = whole * costs.sign_burst * _BEAT / partitions

        def steadily() -> None:
            loop.take(whole * (1 - costs.sign_burst) * _SLOT)
            kernel.after(_SLOT, steadily)

        def answer(left: float) -> None:
            step = min(left, _STEP)
            loop.do(step, lambda: answer(left - step) if left > step else None)

        def beat() -> None:
            answer(burst)
            kernel.after(_BEAT, beat)

        steadily()
        for _ in range(partitions):
            kernel.after(self._random.uniform(0, _BEAT), beat)
