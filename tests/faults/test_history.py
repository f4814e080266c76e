"""The checkers of recorded histories detect violations, and only those."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.history import FencedRead, Operation, behind_fence, from_json
from support.linearizable import is_linearizable

V1, V2, V3 = 101, 102, 103


def put(begin: int, end: int, value: str, version: int) -> Operation:
    """An acknowledged Put."""
    return Operation("k", "put", begin, end, value=value, version=version)


def get(begin: int, end: int, value: str | None, version: int = 0) -> Operation:
    """An answered Get."""
    return Operation("k", "get", begin, end, value=value, version=version)


def cas(begin: int, end: int, expected: int, value: str, version: int) -> Operation:
    """An acknowledged compare-and-set."""
    return Operation("k", "cas", begin, end, value=value, version=version, expected=expected)


def conflict(begin: int, end: int, expected: int, current: int) -> Operation:
    """A refused compare-and-set."""
    return Operation("k", "cas", begin, end, "conflict", "never", current, expected)


def invalidate(begin: int, end: int, version: int, count: int = 1) -> Operation:
    """An acknowledged Invalidate."""
    return Operation("k", "invalidate", begin, end, version=version, count=count)


def unknown(operation: Operation) -> Operation:
    """The same operation with an unknown outcome."""
    return replace(operation, outcome="unknown", version=0, count=0)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([put(0, 1, "a", V1), get(2, 3, None)], id="a write that is not seen"),
        pytest.param(
            [put(0, 1, "a", V1), put(2, 3, "b", V2), get(4, 5, "a", V1)], id="a stale read"
        ),
        pytest.param([get(0, 1, "a", V1), put(2, 3, "a", V1)], id="a read from the future"),
        pytest.param([get(0, 1, "a", V1)], id="a read of what nobody has written"),
        pytest.param(
            [put(0, 1, "a", V1), cas(2, 5, V1, "b", V2), cas(3, 6, V1, "c", V3)], id="a lost update"
        ),
        pytest.param(
            [put(0, 1, "a", V1), invalidate(2, 3, V2), get(4, 5, "a", V1)],
            id="resurrected after an invalidation",
        ),
        pytest.param(
            [put(0, 1, "a", V1), invalidate(2, 3, V2), invalidate(4, 5, V3)], id="ended twice"
        ),
        pytest.param(
            # The new value was seen, and then the old one again.
            [put(0, 1, "a", V1), put(2, 9, "b", V2), get(3, 4, "b", V2), get(5, 6, "a", V1)],
            id="two reads in the wrong order",
        ),
        pytest.param(
            [put(0, 1, "a", V1), put(2, 3, "b", V2), get(4, 5, "b", V1)],
            id="a value with another's version",
        ),
        pytest.param([put(0, 1, "a", V2), put(2, 3, "b", V1)], id="versions that go back"),
        pytest.param([put(0, 1, "a", V1), conflict(2, 3, V1, V1)], id="refused without a reason"),
        pytest.param(
            [put(0, 1, "a", V1), put(2, 3, "b", V2), conflict(4, 5, V3, V1)],
            id="refused because of what is gone",
        ),
        pytest.param(
            [put(0, 1, "a", V1), unknown(put(4, 5, "b", V2)), get(2, 3, "b", V2)],
            id="an unknown outcome before its begin",
        ),
        pytest.param(
            [
                put(0, 1, "a", V1),
                unknown(put(2, 3, "b", V2)),
                get(4, 5, "b", V2),
                get(6, 7, "a", V1),
            ],
            id="an unknown outcome that is taken back",
        ),
    ],
)
def test_what_is_wrong(history: list[Operation]) -> None:
    """The checker finds no order for these histories."""
    assert not is_linearizable(history)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([put(0, 5, "a", V1), get(1, 2, "a", V1), get(3, 4, "a", V1)], id="early"),
        pytest.param([put(0, 5, "a", V1), get(1, 2, None), get(3, 4, None)], id="late"),
        pytest.param(
            [put(0, 9, "a", V2), put(1, 8, "b", V1), get(2, 3, "b", V1), get(4, 5, "a", V2)],
            id="the one that began later was first",
        ),
        pytest.param(
            [unknown(put(0, 1, "a", V1)), get(2, 3, None), get(4, 5, "a", V1)],
            id="an unknown outcome, long after",
        ),
        pytest.param([unknown(put(0, 1, "a", V1)), get(2, 3, None)], id="an unknown, never"),
        pytest.param(
            [put(0, 1, "a", V1), unknown(invalidate(2, 3, V2)), get(4, 5, None)],
            id="an unknown invalidation",
        ),
        pytest.param(
            # No caller learnt the version that the compare-and-set met.
            [put(0, 1, "a", V1), unknown(put(2, 3, "b", V2)), conflict(4, 5, V1, V2)],
            id="a conflict with an unknown outcome",
        ),
        pytest.param(
            [unknown(put(0, 1, "a", V1)), get(2, 3, "a", V1), cas(4, 5, V1, "b", V2)],
            id="a compare-and-set on what was only read",
        ),
    ],
)
def test_what_is_right(history: list[Operation]) -> None:
    """The checker finds an order for each of these histories."""
    assert is_linearizable(history)


@st.composite
def executions(draw: st.DrawFn) -> list[Operation]:
    """The answers of a register, in an order that overlapping times then hide."""
    value: str | None = None
    version = 0
    history: list[Operation] = []
    for number in range(draw(st.integers(0, 30))):
        moment = 10 * number
        begin = moment - draw(st.integers(0, 45))
        end = moment + draw(st.integers(0, 45))
        name, fresh = f"v{number}", 1000 + number
        kind = draw(st.sampled_from(["get", "put", "cas", "conflict", "invalidate"]))
        if kind == "get":
            operation = get(begin, end, value, version)
        elif kind == "conflict":
            operation = conflict(begin, end, 999, version)
        elif kind == "invalidate":
            operation = invalidate(begin, end, fresh, count=int(value is not None))
            value, version = None, 0
        else:
            made = put(begin, end, name, fresh)
            operation = made if kind == "put" else cas(begin, end, version, name, fresh)
            value, version = name, fresh
        # An operation without an answer lasts to the end of time, or was never executed.
        is_heard = kind in ("get", "conflict") or draw(st.booleans())
        history.append(operation if is_heard else unknown(operation))
    return draw(st.permutations(history))


@given(executions())
def test_whatever_a_register_did(history: list[Operation]) -> None:
    """Any sequential execution is linearizable, with any overlaps and unknown outcomes."""
    assert is_linearizable(history)


@given(executions(), st.data())
def test_whatever_a_register_did_not_do(history: list[Operation], data: st.DataObject) -> None:
    """In any history, an isolated read of an older value is detected."""
    told = [each for each in history if each.outcome == "ok" and each.kind in ("put", "cas")]
    if told:
        old = data.draw(st.sampled_from(told))
        end = max(each.end for each in history)
        last = put(end + 1, end + 2, "last", 9999)
        stale = get(end + 3, end + 4, old.value, old.version)
        assert is_linearizable([*history, last])
        assert not is_linearizable([*history, last, stale])


def naive(history: list[Operation]) -> bool:
    """The definition: any order of all known operations and some of the unknown ones."""
    needed = [each for each in history if each.outcome != "unknown"]
    doubtful = [each for each in history if each.outcome == "unknown"]
    return any(
        all(first.begin <= later.last for later, first in combinations(reversed(order), 2))
        and explains(order)
        for size in range(len(doubtful) + 1)
        for some in combinations(doubtful, size)
        for order in permutations([*needed, *some])
    )


def explains(order: Sequence[Operation]) -> bool:
    """Whether a register would have given these answers, without unknown outcomes."""
    value, version, revision = None, 0, 0
    for each in order:
        match each.kind:
            case "get" if (each.value, each.version) != (value, version):
                return False
            case "cas" if (each.outcome == "conflict") == (version == each.expected):
                return False
            case "cas" if each.outcome == "conflict" and version != each.version:
                return False
            case "invalidate" if each.outcome == "ok" and each.count != (value is not None):
                return False
            case _:
                pass
        if each.kind != "get" and each.outcome != "conflict":
            if each.version <= revision:
                return False
            value = None if each.kind == "invalidate" else each.value
            revision, version = each.version, 0 if value is None else each.version
    return True


@st.composite
def anything(draw: st.DrawFn) -> list[Operation]:
    """A few operations with answers that may have no order at all."""
    values = {None: 0, "v1": 101, "v2": 102, "v3": 103}
    history: list[Operation] = []
    for version in draw(st.permutations([101, 102, 103, 104])):
        begin = draw(st.integers(0, 9))
        end = begin + draw(st.integers(0, 6))
        read = draw(st.sampled_from(list(values)))
        history.append(
            draw(
                st.sampled_from(
                    [
                        get(begin, end, read, values[read]),
                        put(begin, end, f"v{version - 100}", version),
                        cas(begin, end, values[read], f"v{version - 100}", version),
                        conflict(begin, end, 101, values[read]),
                        invalidate(begin, end, version, count=0),
                        invalidate(begin, end, version, count=1),
                    ]
                )
            )
        )
    return history


@settings(max_examples=1000)
@given(anything())
def test_whatever_there_may_be(history: list[Operation]) -> None:
    """The checker finds an order if and only if the definition has one."""
    has_order = naive(history)
    event(f"has an order: {has_order}")
    assert is_linearizable(history) is has_order


def test_a_long_history_of_many() -> None:
    """Ten thousand operations, twelve at a time, are checked within seconds."""
    history = [put(10 * i - 120, 10 * i, f"v{i}", i + 1) for i in range(10_000)]
    assert is_linearizable(history)
    assert not is_linearizable([*history, get(100_000, 100_001, "v9", 10)])


@pytest.mark.parametrize(
    "read,is_behind",
    [
        (FencedRead("k", V2, 5, 6, "b", V2), False),
        (FencedRead("k", V2, 5, 6, "a", V1), True),
        (FencedRead("k", V1, 5, 6, "a", V1), False),
        (FencedRead("k", V1, 5, 6, "b", V2), False),
        (FencedRead("k", V3, 5, 6, "b", V2), True),
        (FencedRead("k", V3, 5, 6, None, 0), False),
        (FencedRead("k", V2, 5, 6, None, 0), False),
        (FencedRead("k", V2, 2, 3, None, 0), True),
        (FencedRead("k", 0, 5, 6, None, 0), False),
        (FencedRead("k", 0, 5, 6, "c", V3), True),
        (FencedRead("other", V3, 5, 6, None, 0), False),
    ],
)
def test_fences(read: FencedRead, is_behind: bool) -> None:
    """A read is behind its fence if a write at or below the fence is newer than its answer."""
    history = [put(0, 1, "a", V1), put(2, 3, "b", V2), invalidate(4, 5, V3)]
    assert bool(behind_fence([read], history)) is is_behind


def test_records_pass_between_processes() -> None:
    """A record is the same after it was written as JSON and read."""
    operations = [put(0, 1, "a", V1), conflict(2, 3, V2, V1), unknown(invalidate(4, 5, V2))]
    reads = [FencedRead("k", V2, 5, 6, None, 0)]
    lines = [each.to_json() for each in operations] + [each.to_json() for each in reads]
    assert from_json(lines) == (operations, reads)
