"""The rows of `make scale` and `make peers`, as tables, JSON and series of a chart."""

import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from benchmarks.figures import Goal
from benchmarks.scale.chart import series
from benchmarks.scale.rows import Cell, Row, print_rows, write_json

ROWS = [
    Row("Idle", "100 streams, own connections", {"CPU": Cell(48.2, "µs", Goal("", at_most=50))}),
    Row(
        "Idle",
        "1,000 streams, own connections",
        {"CPU": Cell(61.0, "µs", Goal("", at_most=50)), "ended": Cell(0)},
        ["not all streams became current"],
    ),
    Row("Push", "10 watchers of one key", {"all": Cell(1234.5, "ms")}),
]


def printed() -> list[str]:
    """The lines of the tables."""
    out = StringIO()
    print_rows(Console(file=out, width=100), ROWS)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_a_table_says_which_goals_are_missed() -> None:
    """A column has its unit and its goal, and each value whether it meets it."""
    lines = printed()
    assert "CPU ended" in lines
    assert "≤ 50.00" in lines
    assert "100 streams, own connections 48.2 ✓" in lines
    assert "1,000 streams, own connections 61 ✗ 0" in lines
    assert "10 watchers of one key 1,234" in lines


def test_notes_are_printed() -> None:
    """What a reader has to know stands below the table, with the load."""
    assert "1,000 streams, own connections: not all streams became current" in printed()


def test_the_file_has_what_the_tables_have(tmp_path: Path) -> None:
    """The JSON has each value with its unit and goal."""
    write_json(tmp_path / "rows.json", ROWS)
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["load"] for row in rows] == [row.load for row in ROWS]
    cpu = rows[1]["values"]["CPU"]
    assert cpu == {"value": 61.0, "unit": "µs", "goal": "≤ 50.00", "met": False}
    assert rows[2]["values"]["all"]["met"] is None
    assert rows[1]["notes"] == ["not all streams became current"]


def test_a_series_has_its_numbers_of_streams() -> None:
    """A chart's line has the values of one kind of loads, by their numbers of streams."""
    found = series(ROWS, "Idle", "CPU")
    assert {kind: [(n, cell.value) for n, cell in points] for kind, points in found.items()} == {
        "own connections": [(100, 48.2), (1000, 61.0)]
    }
    assert [n for n, _ in series(ROWS, "Push", "all")[""]] == [10]
