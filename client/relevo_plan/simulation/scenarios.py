"""The loads that were measured, played on the model."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from relevo_plan.constants import Costs
from relevo_plan.simulation.cluster import Cluster, Setup
from relevo_plan.simulation.delays import Delays
from relevo_plan.simulation.kernel import Kernel
from relevo_plan.simulation.streams import Stream

_REST = 0.1
"""Seconds of rest before the next change, on average, so that nothing is in flight."""
_LOOK = 0.005
"""Seconds after which a change is looked at: have all been told?"""

Results = Mapping[str, float]
"""Seconds, or calls a second, by name."""


def calls(
    costs: Costs, *, kind: str, in_flight: int, number: int = 5_000, seed: int = 1
) -> Results:
    """Callers on the same host, each of which calls again as soon as it has its answer."""
    kernel, delays = Kernel(), Delays()
    setup = Setup(costs, delay=costs.loopback)
    cluster, call = Cluster(setup, kernel, Random(seed)), setup.calls[kind]  # noqa: S311
    left = number

    def begin() -> None:
        nonlocal left
        left -= 1
        started = kernel.now

        def answered() -> None:
            delays.add(kernel.now - started)
            if left > 0:
                begin()

        cluster.call(call, answered)

    for _ in range(in_flight):
        begin()
    kernel.run()
    return {"rate": len(delays) / kernel.now, **_shares(delays)}


def pushes(costs: Costs, *, watchers: int, number: int = 200, seed: int = 1) -> Results:
    """Changes of one key that so many streams of this host watch, one change at a time.

    Times are those from the sending of a Put until a watcher, and until the last one (`of all`),
    has the change. Watchers take no time themselves: they stand for near caches elsewhere.
    """
    kernel, random, each, last = Kernel(), Random(seed), Delays(), Delays()  # noqa: S311
    setup = Setup(
        replace(costs, cache_entry=0.0), streams=watchers, delay=costs.loopback, follows_all=False
    )
    cluster = Cluster(setup, kernel, random)
    for _ in range(number):
        begun, told, final = kernel.now, 0, 0.0

        def deliver(first: float, step: float, count: int, begun: float = begun) -> None:
            nonlocal told, final
            told += count
            final = first + step * (count - 1) - begun
            each.add_row(first - begun, step, count)

        cluster.write({0: watchers}, deliver, _nothing)
        while told < watchers:
            kernel.run(until=kernel.now + _LOOK)
        last.add(final)
        kernel.run(until=kernel.now + random.uniform(0.5, 1.5) * _REST)
    return {**_shares(each), **_shares(last, " of all")}


def _nothing() -> None:
    """Nobody waits for the answer of a Put."""


def refill(costs: Costs, *, entries: int, seed: int = 1) -> Results:
    """A near cache that subscribes to so many entries: seconds until it has all of them."""
    kernel, random = Kernel(), Random(seed)  # noqa: S311 - to be repeated
    setup = Setup(costs, delay=costs.loopback)
    cluster = Cluster(setup, kernel, random)
    ended: list[float] = []
    stream = Stream(cluster, setup, kernel, random, 0)
    stream.subscribe(entries, lambda: ended.append(kernel.now))
    kernel.run()
    return {"seconds": ended[0]}


def _shares(delays: Delays, suffix: str = "") -> Results:
    return {f"p{share}{suffix}": delays.quantile(share / 100) for share in (50, 99)}
