"""The rows that `make scale` and `make peers` print, and write as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Goal


@dataclass(frozen=True)
class Cell:
    """One measured value."""

    value: float
    unit: str = ""
    goal: Goal | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, or None without a goal."""
        return None if self.goal is None else self.goal.is_met(self.value)

    @property
    def number(self) -> str:
        """The value as a text, with a mark if it has a goal."""
        mark = {None: "", True: " ✓", False: " ✗"}[self.is_met]
        shown = f"{self.value:,.3g}"
        if abs(self.value) >= 100 or self.value == int(self.value):
            shown = f"{self.value:,.0f}"
        return shown + mark

    def __str__(self) -> str:
        return " ".join(filter(None, (self.number, self.unit)))


@dataclass(frozen=True)
class Row:
    """The values that one benchmark measured under one load."""

    bench: str
    load: str
    cells: Mapping[str, Cell]
    """The values by their names, which are the columns."""
    notes: Sequence[str] = field(default=())
    """A remark beside the values, for example that a wait has ended early."""
    seconds: float = 0.0
    """The seconds that the row took, with its preparation; 0 if unknown."""

    def to_json(self) -> dict[str, object]:
        """The row for a file."""
        return {
            "bench": self.bench,
            "load": self.load,
            "notes": list(self.notes),
            "seconds": self.seconds,
            "values": {
                name: {
                    "value": cell.value,
                    "unit": cell.unit,
                    "goal": None if cell.goal is None else str(cell.goal),
                    "met": cell.is_met,
                }
                for name, cell in self.cells.items()
            },
        }


def print_rows(console: Console, rows: Iterable[Row]) -> None:
    """Print a table for each benchmark, and below it the notes of its rows."""
    benches: dict[str, list[Row]] = {}
    for row in rows:
        benches.setdefault(row.bench, []).append(row)
    for bench, own in benches.items():
        console.print(_table(bench, own))
        for row in own:
            for note in row.notes:
                console.print(f"  {row.load}: {note}", highlight=False)
        console.print()


def _table(bench: str, rows: Sequence[Row]) -> Table:
    table = Table(title=bench, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    # The unit and the goal of a column are those of its first value.
    columns = {name: cell for row in reversed(rows) for name, cell in row.cells.items()}
    names = dict.fromkeys(name for row in rows for name in row.cells)
    for name in names:
        cell = columns[name]
        heading = [name, cell.unit, str(cell.goal or "")]
        table.add_column("\n".join(heading), justify="right", no_wrap=True)
    has_times = any(row.seconds for row in rows)
    if has_times:
        table.add_column("took\ns", justify="right", no_wrap=True)
    for row in rows:
        cells = [row.cells[name].number if name in row.cells else "" for name in names]
        table.add_row(row.load, *cells, *([f"{row.seconds:.0f}"] if has_times else []))
    return table


def write_json(path: Path, rows: Iterable[Row]) -> None:
    """Write a JSON object for each row."""
    objects = [row.to_json() for row in rows]
    path.write_text(json.dumps(objects, indent=2, ensure_ascii=False) + "\n", "utf-8")
