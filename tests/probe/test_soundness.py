"""The checker reports nothing of a store that keeps its promises, and each that is broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe.model import World
from relevo_probe.rules import Check

FAULTS = {
    "skipped event": {Check.AGE, Check.FENCE, Check.RESURRECTED, Check.TORN},
    "stale after silence": {Check.AGE},
    "fence ignored": {Check.FENCE},
    "torn composition": {Check.TORN},
    "older value": {Check.MONOTONIC},
    "version reused": {Check.VERSION},
    "late write": {Check.LATE_WRITE},
    "resurrected": {Check.RESURRECTED},
    "lost write": {Check.LOST},
    "stale store": {Check.RECENT},
}


@given(st.integers(0, 2**32))
def test_no_false_alarm(seed: int) -> None:
    """Whatever order writes, answers, pushes and failures have: no promise is said to be broken."""
    world = World(seed)
    world.run(400)
    assert world.found == []
    assert min(world.checker.checks.values()) > 0


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    """A store or a near cache that breaks a promise is found out, by the name of the promise."""
    found: set[Check] = set()
    for seed in range(20):
        world = World(seed, fault)
        world.run(400)
        found.update(violation.check for violation in world.found)
    assert found >= FAULTS[fault]
