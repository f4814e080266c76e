"""The model of servers and Redis: its queues follow the laws of queues, and a seed repeats."""

from dataclasses import replace
from functools import partial
from math import log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relevo_plan.constants import measured
from relevo_plan.simulation import scenarios
from relevo_plan.simulation.cluster import Call, Cluster, Setup
from relevo_plan.simulation.delays import Delays
from relevo_plan.simulation.kernel import Kernel, Queue
from relevo_plan.simulation.questions import Load, doubled, lose, play, spread

COSTS = replace(measured().costs(), network=0.0)


def test_the_kernel_runs_actions_in_order() -> None:
    """Actions run at their times, and those of one time in the order in which they were given."""
    kernel, ran = Kernel(), list[tuple[str, float]]()

    def note(name: str) -> None:
        ran.append((name, kernel.now))

    for name, time in (("c", 2.0), ("a", 1.0), ("b", 1.0), ("late", 9.0)):
        kernel.at(time, partial(note, name))
    kernel.run(until=3.0)
    assert ran == [("a", 1.0), ("b", 1.0), ("c", 2.0)]
    assert kernel.now == 3.0
    kernel.run()
    assert ran[-1] == ("late", 9.0)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), min_size=1))
def test_a_queue_does_one_thing_at_a_time(jobs: list[tuple[float, float]]) -> None:
    """Work begins when it comes or when what came before has ended, whichever is later."""
    kernel, ends = Kernel(), list[float]()
    queue = Queue(kernel)

    def take(seconds: float) -> None:
        ends.append(queue.take(seconds))

    for comes, seconds in sorted(jobs):
        kernel.at(comes, partial(take, seconds))
    kernel.run()
    free = 0.0
    for (comes, seconds), end in zip(sorted(jobs), ends, strict=True):
        free = max(free, comes) + seconds
        assert end == free
    assert queue.busy == pytest.approx(sum(seconds for _, seconds in jobs))


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 9)), min_size=1),
    st.floats(0, 1, exclude_min=True),
)
def test_a_quantile(times: list[tuple[float, float]], share: float) -> None:
    """At least the share of all times is not longer than it, and less than that is shorter."""
    delays = Delays()
    for seconds, weight in times:
        delays.add(seconds, weight)
    found, whole = delays.quantile(share), sum(weight for _, weight in times)
    rounding = 1e-9 * whole
    assert sum(weight for seconds, weight in times if seconds <= found) >= share * whole - rounding
    assert sum(weight for seconds, weight in times if seconds < found) <= share * whole + rounding


@given(st.floats(0, 1), st.floats(0, 0.01), st.integers(1, 5_000))
def test_a_row_of_messages(first: float, step: float, number: int) -> None:
    """A row has its first and its last time, its number, and its middle."""
    delays = Delays()
    delays.add_row(first, step, number)
    last = first + step * (number - 1)
    assert delays.quantile(1e-9) == pytest.approx(first)
    assert delays.quantile(1.0) == pytest.approx(last)
    middle = delays.quantile(0.5)
    assert abs(middle - (first + last) / 2) <= (last - first) / 50 + step
    assert len(delays) <= 64


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_calls_at_random_wait_as_queueing_theory_says(busy: float) -> None:
    """With random arrivals and exponential service (M/M/1), times in the system are exponential.

    Their rate is that of the service, less that of the arrivals.
    """
    service, number = 0.01, 60_000
    kernel, random, delays = Kernel(), Random(3), Delays()  # noqa: S311 - to be repeated
    costs = replace(COSTS, variation=1.0)
    cluster, call = Cluster(Setup(costs), kernel, random), Call(service, None)

    def come() -> None:
        begun = kernel.now
        cluster.call(call, lambda: delays.add(kernel.now - begun))

    time = 0.0
    for _ in range(number):
        time += random.expovariate(busy / service)
        kernel.at(time, come)
    kernel.run()
    rate = (1 - busy) / service
    assert cluster.loops[0].busy / kernel.now == pytest.approx(busy, rel=0.02)
    for share in (0.5, 0.9, 0.99):
        assert delays.quantile(share) == pytest.approx(log(1 / (1 - share)) / rate, rel=0.12)


def test_a_server_that_is_asked_for_too_much_is_overloaded() -> None:
    """More work than time is seen, of a worker and of Redis."""
    assert play(COSTS, Load(1, gets=1.2 / COSTS.get_strong)).is_overloaded
    slow = replace(COSTS, redis_get=0.01)
    assert play(slow, Load(4, gets=120.0)).redis_busy > 1
    assert not play(slow, Load(4, nodes=4, gets=120.0)).is_overloaded


def test_the_same_seed_plays_the_same() -> None:
    """Results are a function of the seed."""
    load = Load(2, streams=100, gets=200.0, puts=50.0, changes=2.0, holders=60)
    assert play(COSTS, load, seed=7) == play(COSTS, load, seed=7)
    assert play(COSTS, load, seed=7) != play(COSTS, load, seed=8)
    assert lose(COSTS, streams=20, entries=5, workers=2, gets=10.0) == lose(
        COSTS, streams=20, entries=5, workers=2, gets=10.0
    )


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_watchers_are_spread_evenly(number: int, workers: int) -> None:
    """No watcher is lost, and no worker has two more than another."""
    shares = spread(number, workers)
    assert sum(shares.values()) == number
    if len(shares) == workers:
        assert max(shares.values()) - min(shares.values()) <= 1
    else:
        assert set(shares.values()) <= {1}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 400))
def test_a_change_reaches_all_of_its_watchers(watchers: int) -> None:
    """The last one is told when all messages are made, at least; a later one never earlier."""
    found = scenarios.pushes(COSTS, watchers=watchers, number=5)
    assert found["p50 of all"] >= found["p50"] >= 0
    more = scenarios.pushes(COSTS, watchers=2 * watchers, number=5)
    assert more["p99 of all"] > found["p99 of all"]


def test_a_get_waits_for_a_change_to_many() -> None:
    """A change to ten thousand watchers is in the way of calls: more workers share it."""
    load = Load(1, gets=100.0, changes=1.0, holders=10_000)
    quiet = play(COSTS, replace(load, changes=0.0)).times["Get"]
    one, ten = play(COSTS, load), play(COSTS, replace(load, workers=10))
    assert one.times["Get"].p99 > 10_000 * COSTS.push / 4 > 10 * quiet.p99
    assert ten.times["Get"].p99 < one.times["Get"].p99 / 4
    assert ten.times["push"].p99 < one.times["push"].p99 / 4


def test_a_herd_is_slower_the_more_it_asks() -> None:
    """Near caches are current later if there are more of them, with more entries, on fewer workers.

    They cannot be current before the workers have done the work.
    """
    herd = lose(COSTS, streams=400, entries=10, workers=2, gets=20.0)
    work = 400 * (COSTS.open_stream + 10 * COSTS.answer) / 2
    assert herd.current >= work
    assert lose(COSTS, streams=800, entries=10, workers=2, gets=20.0).current > herd.current
    assert lose(COSTS, streams=400, entries=40, workers=2, gets=20.0).current > herd.current
    assert lose(COSTS, streams=400, entries=10, workers=8, gets=20.0).current < herd.current
    assert herd.meanwhile.p99 > herd.quiet.p99


def test_the_work_of_a_very_large_herd_is_played_in_larger_steps() -> None:
    """It takes as long as in small steps, within some percent."""
    fine = lose(COSTS, streams=10, entries=4_000, workers=1, gets=10.0)
    coarse = lose(replace(COSTS, slice=80.0, slice_pause=10 * COSTS.slice_pause,
                          timer=10 * COSTS.timer),
                  streams=10, entries=4_000, workers=1, gets=10.0)  # fmt: skip
    assert coarse.current == pytest.approx(fine.current, rel=0.1)


def test_how_busy_a_worker_may_be() -> None:
    """The p99 doubles somewhere between an idle worker and a saturated one."""
    assert 0.3 <= doubled(COSTS) <= 0.95
