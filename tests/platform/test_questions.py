"""What the platform's report answers, and its picture, from records that are made up."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nooble.chart import draw
from nooble.observing import Seen
from nooble.questions import after_changes, calls_per_turn, ecdf, spans, times
from nooble.records import Change, Record, Turn, result_of
from nooble.report import Report
from nooble.wiring import MODES, Mode
from rich.console import Console

AGENT, OTHER = "agent_config:acme:a", "agent_config:acme:b"


def turn(began: float, *, seconds: float = 0.1, error: str = "", **versions: int) -> Turn:
    """A turn of one service that used versions of `a` and `b`."""
    used = {{"a": AGENT, "b": OTHER}[name]: number for name, number in versions.items()}
    return Turn(0, "c", began, seconds, [Seen("query", 1, used)], error)


def record(mode: Mode = "relevo", *turns: Turn) -> Record:
    """A record with a change of `a` at 10 s, and another one at 20 s."""
    return Record(mode, [*turns], [Change(AGENT, 2, 10.0), Change(AGENT, 3, 20.0)])


def test_seconds_since_a_change() -> None:
    """They count from the last change of what the turn uses that was acknowledged before it."""
    found = after_changes(record("relevo", turn(25.0, a=3), turn(13.0, a=1), turn(20.0, a=2)))
    assert [(each.seconds, each.is_outdated) for each in found] == [
        (0.0, True),
        (3.0, True),
        (5.0, False),
    ]


def test_turns_that_no_change_concerns() -> None:
    """Turns before the first change, of other configurations, and failed ones are left out."""
    turns = turn(9.0, a=1), turn(30.0, b=1), turn(30.0, a=1, error="TIMEOUT")
    assert after_changes(record("relevo", *turns)) == []


def test_an_older_miss_stays_outdated() -> None:
    """A turn that has missed a change is outdated, however many changes came later."""
    (found,) = after_changes(record("relevo", turn(99.0, a=1)))
    assert (found.seconds, found.is_outdated) == (79.0, True)


def test_spans() -> None:
    """A span has the turns from its beginning to before its end, and the last one has no end."""
    points = after_changes(record("none", turn(20.0, a=3), turn(21.0, a=2), turn(99.0, a=2)))
    first, second, third = spans(points, (0.0, 1.0, 50.0))
    assert (first.turns, first.outdated, first.share) == (1, 0, 0.0)
    assert (second.turns, second.share, second.end) == (1, 1.0, 50.0)
    assert (third.turns, third.share, third.end) == (1, 1.0, None)
    assert spans([], (0.0,))[0].share is None


@given(st.lists(st.floats(0, 100), max_size=300))
def test_every_turn_is_in_one_span(seconds: list[float]) -> None:
    """Spans leave no turn out, and count none twice."""
    points = after_changes(record("none", *(turn(20.0 + each, a=3) for each in seconds)))
    assert sum(span.turns for span in spans(points)) == len(seconds)


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=500))
def test_ecdf(seconds: list[float]) -> None:
    """It rises to 1, and its values are values of the turns, the greatest one last."""
    ordered = times(record("none", *(turn(1.0, seconds=each, a=1) for each in seconds)))
    curve = ecdf(ordered)
    assert curve[-1] == (max(seconds), 1.0)
    assert {value for value, _ in curve} <= {*seconds}
    assert all(a < b and v <= w for (v, a), (w, b) in pairwise(curve))


def test_no_ecdf_of_nothing() -> None:
    """If no turn was answered, there is no curve."""
    assert ecdf(times(record("none", turn(1.0, error="TIMEOUT")))) == []


def test_calls_per_turn() -> None:
    """Calls count for all turns, by whom they ask."""
    own = record("relevo", turn(1.0, a=1), turn(2.0, a=1))
    own.management_calls, own.redis_calls = 3, 8
    assert calls_per_turn(result_of(own)) == {"management": 1.5, "store": 0.0, "redis": 4.0}


def run(outdated: int) -> list[Record]:
    """A run in all modes: 40 turns each, of which some are outdated with JSON in Redis."""
    records: list[Record] = []
    for mode in MODES:
        late = outdated if mode == "redis-json" else 0
        turns = [turn(20.0 + i, seconds=0.01 + i / 900, a=2 if i < late else 3) for i in range(40)]
        records.append(record(mode, *turns))
        records[-1].redis_calls = 40 * len(mode)
    return records


def printed(records: list[Record], width: int = 100) -> str:
    """The report of a run."""
    out = io.StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False)
    Report(console).results(records, [result_of(each) for each in records])
    return out.getvalue()


def test_the_report_answers() -> None:
    """It says in words and shares how many turns were outdated, and how that goes on."""
    text = " ".join(printed(run(10)).split())
    assert "each asks: none of 40 turns." in text
    assert "JSON in Redis: 10 of 40 turns." in text
    assert "JSON in Redis 100% 100% 100% 100% 0% 0%" in text
    assert "Relevo 0% 0% 0% 0% 0% 0%" in text


@pytest.mark.parametrize("records", [run(10), run(0), [record(mode) for mode in MODES]])
def test_any_run_can_be_reported(records: list[Record], tmp_path: Path) -> None:
    """A run without turns, or without outdated ones, has a report of 100 columns and a picture."""
    assert max(map(len, printed(records).splitlines())) <= 100
    draw(records, [result_of(each) for each in records], tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_makes_the_same_picture(tmp_path: Path) -> None:
    """An SVG depends on nothing but the run: no time, and no random names."""
    records = run(10)
    results: list[Any] = [result_of(each) for each in records]
    files = [tmp_path / name for name in ("one.svg", "other.svg")]
    for file in files:
        draw(records, results, file)
    one, other = (file.read_text("utf-8") for file in files)
    assert one == other
    assert "<svg" in one
