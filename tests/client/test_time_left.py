"""Deadlines: the remaining time of a call at each of its stages."""

import pytest
from relevo_client._context.deadline import UNBOUNDED, Deadline
from support.manual_clock import ManualClock


def test_what_is_left_becomes_less() -> None:
    """The remaining time decreases with the clock, and is never negative."""
    clock = ManualClock()
    deadline = Deadline.after(10, clock=clock)
    assert deadline.remaining() == 10
    clock.now += 4
    assert deadline.remaining() == 6
    clock.now += 7
    assert deadline.remaining() == 0


def test_no_bound() -> None:
    """Without a bound, the remaining time has none, and neither has a part of it."""
    for deadline in (UNBOUNDED, UNBOUNDED.half(), Deadline.after(None)):
        assert deadline.remaining() is None


def test_a_part_of_a_deadline() -> None:
    """A part of a deadline ends by itself, and never after the whole."""
    clock = ManualClock()
    whole = Deadline.after(10, clock=clock)
    clock.now += 4
    assert whole.half().remaining() == 3
    assert whole.within(5).remaining() == 5
    assert whole.within(60).remaining() == 6
    assert UNBOUNDED.within(5).remaining() == pytest.approx(5, abs=1)
    clock.now += 20
    assert whole.half().remaining() == whole.within(5).remaining() == 0
