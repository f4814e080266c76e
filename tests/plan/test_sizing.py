"""What a plan says: rates by hand for one platform, and what must hold for any."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_plan.cells import cell, needed
from relevo_plan.constants import measured
from relevo_plan.demand import demand
from relevo_plan.fleet import load_of
from relevo_plan.limits import limits
from relevo_plan.sizing import Sizing, size
from relevo_plan.workload import PRESETS, Workload

COSTS = measured().costs()
STICKY = Workload(
    conversations=6_000,
    turns_per_second=100.0,
    turns_per_conversation=10.0,
    is_sticky=True,
    services=4,
    processes_per_service=10,
    layers=2,
    configurations=20,
    changes_per_second=0.0,
)

workloads = st.builds(
    Workload,
    conversations=st.integers(1, 2_000_000),
    turns_per_second=st.floats(0.1, 20_000),
    turns_per_conversation=st.floats(1, 100),
    is_sticky=st.booleans(),
    services=st.just(5),
    processes_per_service=st.integers(1, 2_000),
    resolvers=st.integers(1, 5),
    layers=st.integers(0, 16),
    configurations=st.integers(1, 100_000),
    entry_bytes=st.integers(100, 100_000),
    changes_per_second=st.floats(0, 100),
    puts_per_turn=st.floats(0, 2),
    has_riders=st.booleans(),
    cores=st.integers(1, 64),
)


def test_a_platform_by_hand() -> None:
    """100 turns/s, 10 a conversation, each in one process: 10 begin anew, and ask the store.

    20 configurations are put anew every 480 s. A conversation has one turn a minute: 2 layers
    of 20 change 60 / 480 times in it, so 22 % of the turns have another context.
    """
    rates = demand(STICKY, COSTS)
    begun, renewals = 10.0, 20 / 480
    changed = 1 - 2.718281828 ** (-renewals * 2 / 20 * 60)
    assert rates.changes == pytest.approx(renewals)
    assert rates.reads == 0  # riders
    assert rates.snapshots == pytest.approx(10 + begun)
    assert rates.puts == pytest.approx(2 * begun + 90 * changed + renewals)
    assert rates.events == pytest.approx(begun + (begun + 100 * changed) + renewals)
    assert rates.new_states == pytest.approx(begun + 100 * changed)
    assert rates.streams == 40
    assert rates.holders == pytest.approx(10)
    assert rates.pushes == pytest.approx(10 * renewals)


def test_without_riders_each_service_asks() -> None:
    """Contexts that are too large to ride are read by each process that has not seen them."""
    riding = demand(STICKY, COSTS)
    assert riding.rides
    assert riding.ride_bytes > 0
    for changed in (replace(STICKY, has_riders=False), replace(STICKY, entry_bytes=100_000)):
        rates = demand(changed, COSTS)
        assert not rates.rides
        assert rates.ride_bytes == 0
        assert rates.reads == pytest.approx(3 * riding.subscriptions / 5, rel=0.3)


@given(workloads)
def test_what_holds_for_every_plan(workload: Workload) -> None:
    """No number is negative; the parts are what the whole is made of; one server may be lost."""
    plan = size(workload, COSTS)
    assert all(getattr(plan.demand, each.name) >= 0 for each in fields(plan.demand))
    assert min(plan.cpu.values()) >= 0
    assert plan.redis.cpu >= 0
    assert plan.redis.nodes * workload.redis_bytes >= plan.redis.bytes
    assert plan.workers <= plan.servers * workload.cores
    if not plan.is_possible:
        assert plan.worker_share >= workload.utilisation
        return
    assert plan.servers >= 2
    remaining = plan.workers - plan.workers // plan.servers
    used = sum(plan.cpu.values()) - plan.cpu["following the logs"]
    assert used / remaining + plan.worker_share <= workload.utilisation * 1.0001
    shares = [each.share for each in limits(plan, COSTS)]
    assert shares == sorted(shares, reverse=True)
    load = load_of(plan)
    assert load.puts + load.changes == pytest.approx(plan.demand.events)


@given(workloads, st.sampled_from(["turns_per_second", "changes_per_second", "puts_per_turn"]))
def test_who_asks_for_more_needs_no_less(workload: Workload, field: str) -> None:
    """More turns, changes or writes never need fewer cores, less of Redis, or less network."""

    def of(factor: float) -> Sizing:
        value = getattr(workload, field) * factor
        conversations = workload.conversations
        if field == "turns_per_second":  # as much time between turns: other conversations
            conversations = round(conversations * factor)
        return size(replace(workload, **{field: value, "conversations": conversations}), COSTS)

    less, more = of(1), of(2)
    names = set(less.cpu) - {"following the logs"}
    assert sum(more.cpu[name] for name in names) >= sum(less.cpu[name] for name in names) * 0.9999
    assert more.worker_share >= less.worker_share
    if less.is_possible and more.is_possible:
        assert more.workers >= less.workers
        assert more.redis.cpu >= less.redis.cpu * 0.9999


def test_sticky_conversations_and_snapshots_need_less() -> None:
    """What the page tells to turn helps: stickiness, riders, and resolving in one service only."""
    plain = Workload()
    base = size(plain, COSTS)
    for better in (
        size(replace(plain, is_sticky=True), COSTS),
        size(replace(plain, turns_per_conversation=30.0, processes_per_service=5), COSTS),
    ):
        assert sum(better.cpu.values()) < sum(base.cpu.values())
    worse = size(replace(plain, resolvers=5), COSTS)
    assert worse.demand.holders == pytest.approx(5 * base.demand.holders)
    assert worse.demand.pushes > 4 * base.demand.pushes
    assert sum(size(replace(plain, has_riders=False), COSTS).cpu.values()) > sum(base.cpu.values())


def test_the_first_limit_is_the_one_that_is_nearest() -> None:
    """Each limit comes first for a platform that is made to reach it."""
    reached = {
        "bytes in a near cache": Workload(entry_bytes=50_000),
        "entries in a near cache": Workload(conversations=300_000, entry_bytes=100),
        "network of one server": Workload(link_bits=1e4),
        "the memory of one Redis": Workload(redis_bytes=1 << 20),
    }
    for name, workload in reached.items():
        plan = size(workload, COSTS)
        assert name in [each.name for each in limits(plan, COSTS)[:2]], name


def test_presets_grow() -> None:
    """Ten times as many conversations need more of everything; a million need several stores."""
    small, middle, large = (size(each, COSTS) for each in PRESETS.values())
    assert small.servers <= middle.servers
    assert small.redis.bytes < middle.redis.bytes < large.redis.bytes
    conversations = [each.workload.conversations for each in (small, middle, large)]
    assert conversations == [10_000, 100_000, 1_000_000]
    cells = [needed(each, COSTS) or 0 for each in PRESETS.values()]
    assert cells == sorted(cells)
    assert cells[0] == 1


@given(workloads)
def test_cells_are_the_fewest_that_suffice(workload: Workload) -> None:
    """In so many cells a worker has half of its time for clients, in one fewer it has not."""
    cells, most = needed(workload, COSTS), workload.utilisation / 2
    if cells is None:
        return
    plan = size(cell(workload, cells), COSTS)
    assert plan.is_possible
    assert plan.worker_share <= most
    if cells > 1:
        assert size(cell(workload, cells - 1), COSTS).worker_share > most
