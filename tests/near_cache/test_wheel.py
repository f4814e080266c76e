"""The wheel that gives all streams their turns by one timer, in a loop whose time is simulated."""

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from relevo_server.service.wheel import Wheel

SLOT = 0.01


class _Selector(selectors.SelectSelector):
    """Waits for nothing: the time for which it is asked to wait is over at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += max(timeout or 0.0, 0.0)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when all wait."""

    def __init__(self) -> None:
        self.clock = _Selector()
        super().__init__(self.clock)

    def time(self) -> float:
        """The seconds of its clock."""
        return self.clock.now


def simulate(play: Callable[[SimulatedLoop], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine in simulated time."""
    loop = SimulatedLoop()
    try:
        loop.run_until_complete(play(loop))
    finally:
        loop.close()


intervals = st.floats(0.02, 3, allow_nan=False)


@given(members=st.lists(intervals, min_size=1, max_size=8), seconds=st.floats(1, 10))
def test_each_has_its_own_interval(members: list[float], seconds: float) -> None:
    """Each member is due once in its interval, by a slot earlier or later."""
    turns: Counter[int] = Counter()

    async def play(_: SimulatedLoop) -> None:
        wheel = Wheel[int](lambda member: turns.update([member]))
        for member, interval in enumerate(members):
            wheel.set(member, interval)
        await asyncio.sleep(seconds)
        assert len(wheel) == len(members)

    simulate(play)
    for member, interval in enumerate(members):
        fewest = seconds / (interval + SLOT) - 1
        most = seconds / max(interval - SLOT, SLOT) + 1
        assert fewest <= turns[member] <= most, (member, interval, turns)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 4), intervals),
        st.tuples(st.just("remove"), st.integers(0, 4), st.just(0.0)),
        st.tuples(st.just("wait"), st.just(0), st.floats(0, 2, allow_nan=False)),
    ),
    max_size=30,
)


@given(steps=steps)
def test_in_any_order(steps: list[tuple[str, int, float]]) -> None:
    """After any changes, a member is due an interval after its last turn, and no one else is."""

    async def play(loop: SimulatedLoop) -> None:
        due_at: dict[int, float] = {}
        intervals: dict[int, float] = {}

        def due(member: int) -> None:
            assert abs(loop.time() - due_at[member]) <= 2 * SLOT
            due_at[member] = loop.time() + intervals[member]

        wheel = Wheel[int](due)
        for what, member, seconds in steps:
            if what == "set":
                intervals[member] = seconds
                due_at[member] = loop.time() + seconds
                wheel.set(member, seconds)
            elif what == "remove":
                intervals.pop(member, None)
                due_at.pop(member, None)
                wheel.remove(member)
            else:
                await asyncio.sleep(seconds)
            assert all(at >= loop.time() - 2 * SLOT for at in due_at.values()), "a turn was missed"
            assert len(wheel) == len(intervals)

    simulate(play)


def test_a_loop_that_was_busy() -> None:
    """Turns that were missed are not made up for: each member has one, and then its interval."""
    turns: list[float] = []

    async def play(loop: SimulatedLoop) -> None:
        wheel = Wheel[str](lambda _: turns.append(loop.time()))
        wheel.set("a", 0.1)
        await asyncio.sleep(0.05)
        loop.clock.now += 10
        await asyncio.sleep(0.25)

    simulate(play)
    assert len(turns) == 3
    assert turns[1] - turns[0] > 0.08


def test_an_empty_wheel_wakes_nobody() -> None:
    """Without members there is no timer: an idle server does nothing."""

    async def play(loop: SimulatedLoop) -> None:
        wheel = Wheel[str](lambda _: None)
        wheel.set("a", 0.1)
        wheel.remove("a")
        begin = loop.time()
        loop.call_later(100, lambda: None)
        await asyncio.sleep(99)
        assert loop.time() - begin == 99

    simulate(play)
