"""The line with a bar that shows progress on a terminal. It needs rich."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from relevo_cli import terminal
from relevo_cli.remaining import Remaining, left_text

_PAUSE = 0.2
"""Seconds between two drawings of a bar that is only drawn when it is told something."""


class _Left(ProgressColumn):
    """The time that is left."""

    def __init__(self, remaining: Remaining) -> None:
        super().__init__()
        self._remaining = remaining

    def render(self, task: Task) -> Text:
        """The column's text. rich calls this."""
        left = None if task.finished else self._remaining.left(time.monotonic())
        return Text("" if left is None else left_text(left))


class _Bar:
    """A `Face` that is a line on the terminal."""

    def __init__(self, progress: Progress, task: TaskID, total: int, *, ticks: bool) -> None:
        self._progress = progress
        self._task = task
        self._total = total
        self._ticks = ticks
        self._next = 0.0

    def show(self, done: int, note: str, left: float | None) -> None:  # noqa: ARG002 - drawn anew
        """Show how far the work has come."""
        now = time.monotonic()
        is_due = not self._ticks and (now >= self._next or done == self._total)
        if is_due:
            self._next = now + _PAUSE
        self._progress.update(self._task, completed=done, note=note, refresh=is_due)

    def write(self, text: str) -> None:
        """Write a line to standard output: above the bar, if both are on a terminal."""
        if sys.stdout.isatty():
            console = self._progress.console
            console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            print(text, flush=True)


@contextmanager
def bar(what: str, total: int, remaining: Remaining, *, ticks: bool) -> Generator[_Bar]:
    """A bar that is gone after the block. See `progress.showing`."""
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,} of {task.total:,}"),
        TimeElapsedColumn(),
        _Left(remaining),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        console=Console(
            stderr=True, color_system="auto" if terminal.has_colours(sys.stderr) else None
        ),
        transient=True,
        expand=True,
        auto_refresh=ticks,
        refresh_per_second=2,
        redirect_stdout=False,
    )
    with progress:
        task = progress.add_task(what, total=total, note="")
        yield _Bar(progress, task, total, ticks=ticks)
