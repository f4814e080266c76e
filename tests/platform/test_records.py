"""The evaluation of the measured run's turns, rule by rule."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nooble.observing import Seen
from nooble.records import Change, Record, Turn, quantile, result_of

AGENT, OTHER = "agent_config:acme:a", "agent_config:acme:b"


def seen(service: str, *, pid: int = 1, calls: int = 0, first: int = 0, **versions: int) -> Seen:
    """A service's report: versions of `a` and `b`."""
    keys = {"a": AGENT, "b": OTHER}
    used = {keys[name]: number for name, number in versions.items()}
    return Seen(service, pid, used, calls, first)


def turn(
    *steps: Seen,
    began: float = 10.0,
    seconds: float = 0.1,
    error: str = "",
    connected: float = 0.0,
) -> Turn:
    """A turn."""
    return Turn(0, "c", began, seconds, steps, error, connected)


@pytest.mark.parametrize(
    "acknowledged, version, is_outdated",
    [(9.0, 2, True), (10.0, 2, True), (10.5, 2, False), (9.0, 1, False)],
    ids=["before it began", "as it began", "while it went on", "no newer than what was used"],
)
def test_outdated(acknowledged: float, version: int, is_outdated: bool) -> None:
    """A turn is outdated if a service used a version that was replaced before the turn began."""
    steps = seen("execution", a=2), seen("query", a=1)
    changes = [Change(AGENT, version, acknowledged), Change(OTHER, 9, 1.0)]
    assert turn(*steps).is_outdated(changes) is is_outdated


def test_the_last_change_counts() -> None:
    """Of several changes before a turn, the newest must be used."""
    changes = [Change(AGENT, 3, 2.0), Change(AGENT, 2, 1.0)]
    assert turn(seen("query", a=2)).is_outdated(changes)
    assert not turn(seen("query", a=3)).is_outdated(changes)


@pytest.mark.parametrize(
    "one, other, is_disagreed",
    [({"a": 1}, {"a": 1}, False), ({"a": 1}, {"a": 2}, True), ({"a": 1}, {"b": 2}, False)],
)
def test_disagreed(one: Mapping[str, int], other: Mapping[str, int], is_disagreed: bool) -> None:
    """Two services disagree if they used different versions of the same configuration."""
    assert turn(seen("execution", **one), seen("query", **other)).is_disagreed is is_disagreed


def test_store_calls_are_counted_by_process() -> None:
    """Each process reports its total of calls so far: only its last report counts."""
    record = Record("relevo")
    record.turns = [
        turn(seen("execution", pid=1, calls=2), seen("execution", pid=2, calls=5)),
        turn(seen("execution", pid=1, calls=3), seen("query", pid=3, calls=1)),
    ]
    assert result_of(record).store_calls == 3 + 5 + 1


def test_calls_of_first_turns_are_told_apart() -> None:
    """Calls for first turns do not count for the turns after them, whichever turn reports them."""
    record = Record("relevo")
    record.turns = [
        turn(seen("execution", pid=1, calls=4, first=4), connected=0.2),
        turn(seen("execution", pid=1, calls=7, first=5)),
        turn(seen("execution", pid=1, calls=8, first=5), seen("query", pid=2, calls=2, first=2)),
    ]
    result = result_of(record)
    assert (result.store_calls, result.later_store_calls, result.later_turns) == (10, 3, 2)
    assert result.store_calls_per_later_turn == 1.5


def test_the_time_to_a_first_answer() -> None:
    """It includes connecting, which the time of a turn does not."""
    record = Record("none", turns=[turn(seconds=1, connected=2), turn(seconds=1)])
    result = result_of(record)
    assert (result.first_p50, result.p50) == (3, 1)


def test_failed_turns_are_told_apart() -> None:
    """A failed turn is counted as failed, and its time is not an answer's."""
    record = Record("none", turns=[turn(seconds=1), turn(seconds=9, error="TIMEOUT")])
    result = result_of(record)
    assert (result.turns, result.failed, result.p99) == (2, 1, 1)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_quantile(values: list[float], part: float) -> None:
    """A quantile is the smallest value that at least this part of the values does not exceed."""
    values.sort()
    found = quantile(values, part)
    enough = math.ceil(part * len(values))
    assert found in values
    assert sum(value <= found for value in values) >= enough
    assert sum(value < found for value in values) < enough


def test_no_quantile_of_nothing() -> None:
    """If no turn was answered, there is no time."""
    assert quantile([], 0.5) == 0
