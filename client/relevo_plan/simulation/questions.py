"""Loads that nobody has measured: what a formula cannot say of them, the model plays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from relevo_plan.constants import Costs
from relevo_plan.simulation.cluster import Call, Cluster, Setup
from relevo_plan.simulation.delays import Delays
from relevo_plan.simulation.kernel import Action, Kernel
from relevo_plan.simulation.streams import Stream

_WARM = 0.2
"""The share of the time at the beginning that is not counted: queues are empty then."""
_STEPS = 20
"""Loads that are tried between none and all of a core."""
_DOUBLE = 2.0
_SLICES = 50_000
"""Slices of subscriptions that are played, at most."""


@dataclass(frozen=True)
class Load:
    """The load of a cluster. Rates are a second."""

    workers: int
    nodes: int = 1
    streams: int = 0
    """Watch streams, of all workers."""
    gets: float = 0.0
    """STRONG Gets."""
    snapshots: float = 0.0
    """Snapshot calls."""
    puts: float = 0.0
    """Puts of keys that one stream watches."""
    changes: float = 0.0
    """Puts of keys that `holders` streams watch."""
    holders: int = 0

    def setup(self, costs: Costs) -> Setup:
        """The cluster that has this load."""
        return Setup(costs, self.workers, self.streams, self.nodes, costs.network)


@dataclass(frozen=True)
class Times:
    """The delays of one kind, in seconds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Outcome:
    """The results under a load."""

    times: Mapping[str, Times]
    """By kind: `Get`, `Snapshot`, `Put`; and `push`, from the answer of a Put until a near cache
    has the change. Only those that came."""
    busy: float
    """The busy share of the busiest worker."""
    redis_busy: float
    """The busy share of the busiest node of Redis."""

    @property
    def is_overloaded(self) -> bool:
        """Whether work comes faster than it is done: delays then grow for as long as it does."""
        return max(self.busy, self.redis_busy) >= 1


def play(costs: Costs, load: Load, seconds: float = 5.0, seed: int = 1) -> Outcome:
    """Play a load for so many simulated seconds. Calls come at random, whatever the others do."""
    kernel, random = Kernel(), Random(seed)  # noqa: S311 - to be repeated
    setup = load.setup(costs)
    cluster = Cluster(setup, kernel, random)
    delays: dict[str, Delays] = {name: Delays() for name in ("Get", "Snapshot", "Put", "push")}

    def counted(name: str, begun: float, weigh: float = 1.0) -> None:
        if begun >= _WARM * seconds:
            delays[name].add(kernel.now - begun, weigh)

    def read(name: str, call: Call) -> None:
        cluster.call(call, partial(counted, name, kernel.now))

    def write(watchers: Mapping[int, int]) -> None:
        begun, rows = kernel.now, list[tuple[float, float, int]]()
        answered: list[float] = []

        def acknowledged() -> None:
            answered.append(kernel.now)
            counted("Put", begun)
            for row in rows:
                told(*row)

        def told(first: float, step: float, number: int) -> None:
            if not answered:
                rows.append((first, step, number))
            elif begun >= _WARM * seconds:
                delays["push"].add_row(max(first - answered[0], 0.0), step, number)

        cluster.write(watchers, told, acknowledged)

    calls = setup.calls
    arrivals: Sequence[tuple[float, Action]] = (
        (load.gets, lambda: read("Get", calls["strong"])),
        (load.snapshots, lambda: read("Snapshot", calls["snapshot"])),
        (load.puts, lambda: write({random.randrange(load.workers): 1})),
        (load.changes, lambda: write(spread(load.holders, load.workers))),
    )
    for rate, action in arrivals:
        if rate:
            _arrive(kernel, random, rate, action)
    kernel.run(until=seconds)
    return Outcome(
        {
            name: Times(found.quantile(0.5), found.quantile(0.99))
            for name, found in delays.items()
            if len(found)
        },
        max(each.busy for each in cluster.loops) / seconds,
        max(each.busy for each in cluster.nodes) / seconds,
    )


def _arrive(kernel: Kernel, random: Random, rate: float, action: Action) -> None:
    """Run an action again and again, at random and so often a second."""

    def come() -> None:
        action()
        kernel.after(random.expovariate(rate), come)

    kernel.after(random.expovariate(rate), come)


def spread(number: int, workers: int) -> Mapping[int, int]:
    """So many watchers on workers, evenly."""
    each, more = divmod(number, workers)
    shares = {worker: each + (worker < more) for worker in range(workers)}
    return {worker: share for worker, share in shares.items() if share}


@dataclass(frozen=True)
class Recovery:
    """The results after servers are lost."""

    current: float
    """Seconds until all near caches that were there are current again."""
    quiet: Times
    """The Gets of others, without the loss."""
    meanwhile: Times
    """The Gets of others, while near caches come back."""


def lose(
    costs: Costs,
    *,
    streams: int,
    entries: int,
    workers: int,
    gets: float,
    idle_streams: int = 0,
    nodes: int = 1,
    seed: int = 1,
) -> Recovery:
    """So many streams lose their server, and come to other workers, which are so many.

    Each has so many entries. The workers have `idle_streams` of their own, and `gets` a second.
    """
    kernel, random = Kernel(), Random(seed)  # noqa: S311 - to be repeated
    load = Load(workers, nodes, streams=idle_streams + streams, gets=gets)
    setup = load.setup(_coarse(costs, streams * entries))
    cluster = Cluster(setup, kernel, random)
    left, ended, delays = streams, 0.0, Delays()

    def current() -> None:
        nonlocal left, ended
        left -= 1
        if not left:
            ended = kernel.now

    for i in range(streams):
        Stream(cluster, setup, kernel, random, i % workers).reopen(entries, current)

    def come() -> None:
        begun = kernel.now
        cluster.call(setup.calls["strong"], lambda: delays.add(kernel.now - begun))

    if gets:
        _arrive(kernel, random, gets, come)
    while left:
        kernel.run(until=kernel.now + 0.1)
    quiet = play(costs, replace(load, gets=gets or 1.0), seed=seed).times["Get"]
    meanwhile = Times(delays.quantile(0.5), delays.quantile(0.99)) if len(delays) else quiet
    return Recovery(ended, quiet, meanwhile)


def _coarse(costs: Costs, answers: int) -> Costs:
    """The costs with larger slices and pauses in proportion, if there are very many answers.

    What a slice brings takes the same time, in fewer steps.
    """
    factor = max(1, round(answers / costs.slice / _SLICES))
    return replace(
        costs,
        slice=costs.slice * factor,
        slice_pause=costs.slice_pause * factor,
        timer=costs.timer * factor,
    )


def doubled(costs: Costs, seconds: float = 5.0, seed: int = 1) -> float:
    """The busy share of a worker's core (0 to 1) at which the p99 of its Gets has doubled.

    Compared is the p99 of a worker that is hardly busy. 1 if it has not doubled before.
    """
    call = Setup(costs).calls["strong"]
    quiet = None
    for step in range(1, _STEPS):
        share = step / _STEPS
        load = Load(1, gets=share / call.worker)
        p99 = play(costs, load, seconds, seed).times["Get"].p99
        quiet = quiet or p99
        if p99 >= _DOUBLE * quiet:
            return share
    return 1.0
