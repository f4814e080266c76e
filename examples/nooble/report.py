"""The report of the measured run: progress, a table and a chart, printed and as a picture."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from relevo_demo.console import console
from rich import box
from rich.bar import Bar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nooble.records import Result
from nooble.wiring import Mode

_COLORS: dict[Mode, str] = {"none": "#b0b0b0", "redis-json": "#e08a3c", "relevo": "#2f7fc1"}


@dataclass(frozen=True)
class _Row:
    name: str
    of: Callable[[Result], float]
    form: str


_ROWS = (
    _Row("turns", lambda r: r.turns, "{:,.0f}"),
    _Row("failed", lambda r: r.failed, "{:,.0f}"),
    _Row("calls to agent management", lambda r: r.management_calls, "{:,.0f}"),
    _Row("calls to Redis for configuration", lambda r: r.redis_calls, "{:,.0f}"),
    _Row("calls to the ContextStore", lambda r: r.store_calls, "{:,.0f}"),
    _Row("time per turn, p50 (ms)", lambda r: 1000 * r.p50, "{:.1f}"),
    _Row("time per turn, p95 (ms)", lambda r: 1000 * r.p95, "{:.1f}"),
    _Row("time per turn, p99 (ms)", lambda r: 1000 * r.p99, "{:.1f}"),
    _Row("turns with outdated configuration", lambda r: r.outdated, "{:,.0f}"),
    _Row("turns in which services disagreed", lambda r: r.disagreed, "{:,.0f}"),
)
_DRAWN = _ROWS[2:]


class Report:
    """Prints the run's events to standard output as they happen."""

    def __init__(self) -> None:
        self._console = console()

    def starting(self, platforms: int) -> AbstractContextManager[Callable[[], None]]:
        """Show how many platforms have started."""
        return self._progress("platforms started", platforms)

    def playing(self, turns: int) -> AbstractContextManager[Callable[[], None]]:
        """Show how many turns are done."""
        return self._progress("turns", turns)

    def results(self, results: Sequence[Result]) -> None:
        """Print the table, and the chart as text."""
        table = Table(box=box.SIMPLE_HEAD, title="The same conversations in each mode")
        table.add_column("")
        for result in results:
            table.add_column(result.mode, justify="right")
        for row in _ROWS:
            table.add_row(row.name, *(row.form.format(row.of(result)) for result in results))
        self._console.print(table)
        chart = Table.grid(padding=(0, 1))
        chart.add_column(no_wrap=True)
        chart.add_column(no_wrap=True)
        chart.add_column(ratio=1)
        chart.add_column(justify="right", no_wrap=True)
        for row in _DRAWN:
            most = max((row.of(result) for result in results), default=0) or 1
            for result in results:
                value = row.of(result)
                bar = Bar(most, 0, value, color=_COLORS[result.mode])
                name = row.name if result is results[0] else ""
                chart.add_row(name, result.mode, bar, row.form.format(value))
        self._console.print(chart)

    def chart(self, results: Sequence[Result], file: Path) -> None:
        """Write the chart to a PNG file."""
        # Imported here: the import takes a second, and only this method needs it.
        from matplotlib.figure import Figure  # noqa: PLC0415

        figure = Figure(figsize=(11, 5.5), layout="constrained")
        axes = figure.subplots(2, 4).flat
        for axis, row in zip(axes, _DRAWN, strict=True):
            values = [row.of(result) for result in results]
            names = [result.mode for result in results]
            bars = axis.bar(names, values, color=[_COLORS[result.mode] for result in results])
            axis.bar_label(bars, [row.form.format(value) for value in values], fontsize=8)
            axis.set_title(row.name, fontsize=9)
            axis.margins(y=0.15)
            axis.tick_params(labelsize=8)
            axis.spines[["top", "right"]].set_visible(False)
        title = f"Nooble: {results[0].turns:,} turns in each mode"
        figure.suptitle(title)  # pyright: ignore[reportUnknownMemberType]
        figure.savefig(file, dpi=120, format="png")  # pyright: ignore[reportUnknownMemberType]
        self._console.print(f"The chart is in {file}.")

    def problems(self, problems: Sequence[str]) -> None:
        """Print the promises that were not kept."""
        for problem in problems:
            self._console.print(f"[bold red]not as promised:[/] {problem}")

    @contextmanager
    def _progress(self, what: str, total: int) -> Generator[Callable[[], None]]:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)
