"""The chart of `make scale`: how costs and delays grow with the number of streams."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.rows import Cell, Row

_PANELS = (
    ("Idle", "CPU", "server CPU per idle stream and second"),
    ("Idle", "memory", "server memory per stream"),
    ("Push", "CPU", "server CPU per watcher and change"),
    ("Push", "all", "until all watchers of a key are told"),
)


def draw(rows: Sequence[Row], file: Path) -> None:
    """Write a PNG with a panel for each of the values that depend on the number of streams."""
    # Imported here: only this function needs it, and it is in the extra `platform`.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 7), layout="constrained")
    for axis, (bench, name, title) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        unit, goal = "", None
        for kind, points in series(rows, bench, name).items():
            streams, values = zip(*((s, cell.value) for s, cell in points), strict=True)
            unit, goal = points[0][1].unit, points[0][1].goal
            axis.plot(streams, values, marker="o", label=kind or None)
        axis.set_title(title, fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("streams", fontsize=8)
        axis.set_ylabel(unit, fontsize=8)
        axis.set_ylim(bottom=0)
        if goal and goal.at_most is not None:
            axis.axhline(goal.at_most, linestyle=":", color="gray", label="goal")
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=8)
    figure.savefig(file, dpi=120, format="png")  # pyright: ignore[reportUnknownMemberType]


def series(rows: Sequence[Row], bench: str, name: str) -> dict[str, list[tuple[int, Cell]]]:
    """A benchmark's values by the kind of their loads, as pairs of a number of streams and a value.

    A load begins with the number, and its kind is what follows a comma.
    """
    found: dict[str, list[tuple[int, Cell]]] = {}
    for row in rows:
        number = re.match(r"[\d,]+", row.load)
        if row.bench == bench and name in row.cells and number:
            kind = row.load.partition(", ")[2]
            streams = int(number[0].rstrip(",").replace(",", ""))
            found.setdefault(kind, []).append((streams, row.cells[name]))
    return found
