"""The report of the measured run, which answers questions, and its table."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from relevo_cli.progress import Progress, showing
from relevo_demo.console import console
from relevo_look import look
from rich import box
from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from nooble import questions
from nooble.records import Record, Result
from nooble.wiring import MODES

_BAR = 46
"""The columns of the longest bar."""
_FILLS = {"management": "█", "store": "▒", "redis": "░"}
"""The patterns that tell the kinds of calls apart without colours."""


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
    _Row("calls to it per turn after the first", lambda r: r.store_calls_per_later_turn, "{:.3f}"),
    _Row("time to a first answer, p50 (ms)", lambda r: 1000 * r.first_p50, "{:.1f}"),
    _Row("time per turn, p50 (ms)", lambda r: 1000 * r.p50, "{:.1f}"),
    _Row("time per turn, p95 (ms)", lambda r: 1000 * r.p95, "{:.1f}"),
    _Row("time per turn, p99 (ms)", lambda r: 1000 * r.p99, "{:.1f}"),
    _Row("turns with outdated configuration", lambda r: r.outdated, "{:,.0f}"),
    _Row("turns in which services disagreed", lambda r: r.disagreed, "{:,.0f}"),
)


class Report:
    """Prints the run's events to standard output as they happen."""

    def __init__(self, to: Console | None = None) -> None:
        self._console = to or console()

    def opening(self, turns: int, changes: int) -> None:
        """Print what is about to happen. Nothing has started yet."""
        self._print(
            Text.assemble(
                ("Relevo platform", "bold"),
                f": six services, {turns:,} turns in each of three ways, and {changes:,} "
                f"change{'' if changes == 1 else 's'} of a configuration.",
            )
        )
        ways = Table.grid(padding=(0, 2))
        for mode in MODES:
            shown = look.MODES[mode]
            ways.add_row(Text(f"  {shown.word}", f"bold {shown.ansi}"), shown.meaning)
        self._print(ways)

    def starting(self, platforms: int) -> AbstractContextManager[Progress]:
        """Show how many platforms have started."""
        return showing("platforms started", platforms)

    def playing(self, turns: int) -> AbstractContextManager[Progress]:
        """Show how many turns are done. Little is drawn: the turns are measured."""
        return showing("turns", turns, ticks=False)

    def results(self, records: Sequence[Record], results: Sequence[Result]) -> None:
        """Print the answers, and then the table."""
        self._question("How long do turns use an old configuration, after a change?")
        self._print(*map(Text, outdated_sentences(results)), _outdated_table(records))
        self._question("How long does a turn take?")
        self._print(Text(times_sentence(results)), _times_table(results))
        self._question("Who is asked for configuration, and how often in a turn?")
        self._print(Text(calls_sentence(results)), _calls_table(results))
        self._question("All figures")
        self._print(_figures_table(results))

    def picture(self, file: Path) -> None:
        """Say where the picture is."""
        self._print(f"The chart is in {file}.")

    def problems(self, problems: Sequence[str]) -> None:
        """Print the promises that were not kept."""
        for problem in problems:
            mark = (f"{look.BROKEN} not as promised: ", f"bold {look.BROKEN_ANSI}")
            self._print(Text.assemble(mark, problem))

    def _question(self, text: str) -> None:
        self._print("", Rule(Text(text, "bold"), align="left", style="none"))

    def _print(self, *lines: RenderableType) -> None:
        for each in lines:
            self._console.print(each)


def outdated_sentences(results: Sequence[Result]) -> Iterator[str]:
    """For each mode, how many turns were outdated."""
    for result in results:
        count = f"{result.outdated:,}" if result.outdated else "none"
        yield f"{look.MODES[result.mode].word}: {count} of {result.turns:,} turns."


def times_sentence(results: Sequence[Result]) -> str:
    """The median duration of turns, in each mode."""
    times = (f"{1000 * each.p50:.1f} ms ({look.MODES[each.mode].word})" for each in results)
    return f"Half of the turns take at most {', '.join(times)}."


def calls_sentence(results: Sequence[Result]) -> str:
    """The number of questions to the owner, in each mode."""
    calls = (f"{each.management_calls:,} ({look.MODES[each.mode].word})" for each in results)
    return f"Agent management is asked {', '.join(calls)} times."


def _outdated_table(records: Sequence[Record]) -> Table:
    """The share of outdated turns by the time since a change."""
    by_mode = {each.mode: questions.spans(questions.after_changes(each)) for each in records}
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("seconds since the change")
    for span in next(iter(by_mode.values())):
        end = f" to {span.end:g}" if span.end else " and more"
        table.add_column(f"{span.begin:g}{end}", justify="right", no_wrap=True)
    for mode, spans in by_mode.items():
        cells = ("-" if span.share is None else f"{span.share:.0%}" for span in spans)
        table.add_row(_mode(mode), *cells)
    return table


def _times_table(results: Sequence[Result]) -> Table:
    """The quantiles of a turn's time, with a bar for the median."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for heading in ("p50", "p95", "p99", "first answer, p50"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("p50", no_wrap=True)
    most = max(result.p50 for result in results) or 1.0
    for result in results:
        values = (result.p50, result.p95, result.p99, result.first_p50)
        bar = Text("█" * _columns(result.p50, most, _BAR // 2), look.MODES[result.mode].ansi)
        table.add_row(_mode(result.mode), *(f"{1000 * each:.1f} ms" for each in values), bar)
    return table


def _calls_table(results: Sequence[Result]) -> Table:
    """The calls of a turn by kind, stacked."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("calls per turn", justify="right", no_wrap=True)
    names = (f"{_FILLS[kind]} {shown.word}" for kind, shown in look.CALLS.items())
    table.add_column("  ".join(names), no_wrap=True)
    calls = {result.mode: questions.calls_per_turn(result) for result in results}
    most = max(sum(kinds.values()) for kinds in calls.values()) or 1.0
    for mode, kinds in calls.items():
        bar = Text.assemble(
            *(
                (_FILLS[kind] * _columns(count, most, _BAR), look.CALLS[kind].ansi)
                for kind, count in kinds.items()
            )
        )
        table.add_row(_mode(mode), f"{sum(kinds.values()):.2f}", bar)
    return table


def _figures_table(results: Sequence[Result]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for result in results:
        table.add_column(look.MODES[result.mode].word, justify="right")
    for row in _ROWS:
        table.add_row(row.name, *(row.form.format(row.of(result)) for result in results))
    return table


def _mode(mode: str) -> Text:
    return Text(look.MODES[mode].word, look.MODES[mode].ansi)


def _columns(value: float, most: float, width: int) -> int:
    """The columns of a bar: at least one for what is not 0."""
    return max(1, round(width * value / most)) if value else 0
