"""Progress of what takes longer than some seconds: how much is done, and what remains.

It goes to standard error, so that standard output has results only. On a terminal it is one line
that is drawn anew, and is gone at the end. Elsewhere, and if TERM is `dumb`, it is a line of plain
text every now and then, and nothing at all if the work takes less than 5 s.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from relevo_look import units

from relevo_cli import terminal
from relevo_cli.remaining import Remaining, left_text

PREFIX = "progress: "
"""The beginning of each plain line."""
FIRST, NEXT, RARER = 5.0, 15.0, 0.1
"""Seconds until the first plain line, and from one to the next; after some minutes, the part of the
time so far that passes from one to the next."""
Clock = Callable[[], float]
"""Tells the time, in seconds. Never goes back."""


class Face(Protocol):
    """A view of progress: a line with a bar, or lines of text."""

    def show(self, done: int, note: str, left: float | None) -> None:
        """Show how many steps are done, what goes on now, and the seconds that are left."""
        ...

    def write(self, text: str) -> None:
        """Write a line of the program's own to standard output."""
        ...


class Progress:
    """The progress of work in steps, of which the number is known. Made by `showing`."""

    def __init__(self, face: Face, remaining: Remaining, clock: Clock = time.monotonic) -> None:
        self._face = face
        self._remaining = remaining
        self._clock = clock
        self._done = 0
        self._note = ""

    def advance(self, note: str | None = None, *, weight: float = 1.0) -> None:
        """Count one step as done. `note` is what goes on now; without it, that stays."""
        self._done += 1
        self._remaining.advance(weight, self._clock())
        self.say(self._note if note is None else note)

    def say(self, note: str) -> None:
        """Say what goes on now."""
        self._note = note
        self._face.show(self._done, note, self._remaining.left(self._clock()))

    def write(self, text: str) -> None:
        """Write a line to standard output, above the line that shows progress."""
        self._face.write(text)


class Lines:
    """Progress as lines of plain text, of which the first comes after `FIRST` seconds."""

    def __init__(self, what: str, total: int, clock: Clock = time.monotonic) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._begun = clock()
        self._due = self._begun + FIRST

    def show(self, done: int, note: str, left: float | None) -> None:
        """Print a line, if it is time for one."""
        now = self._clock()
        if now < self._due:
            return
        elapsed = now - self._begun
        self._due = now + max(NEXT, RARER * elapsed)
        print(self._line(done, elapsed, left, note), file=sys.stderr, flush=True)

    def write(self, text: str) -> None:
        """Write a line to standard output."""
        print(text, flush=True)

    def _line(self, done: int, elapsed: float, left: float | None, note: str) -> str:
        text = f"{PREFIX}{self._what} {done:,} of {self._total:,}"
        text += f", {units.duration(round(elapsed))} so far"
        text += f", {left_text(left)}" if left is not None and done < self._total else ""
        return f"{text} ({note})" if note else text


@contextmanager
def showing(
    what: str,
    total: int,
    *,
    weight: float | None = None,
    pace: float | None = None,
    ticks: bool = True,
) -> Generator[Progress]:
    """Show the progress of a block. A terminal needs rich for that, which is in the extra `demo`.

    Args:
        what: names the steps, for example `turns`.
        total: how many steps there are.
        weight: the sum of the steps' weights, if they differ; `advance` is told each one's.
        pace: the seconds that a unit of weight takes, if known from an earlier run.
        ticks: whether a terminal shows passing time too, twice a second. False for work that is
            measured: nothing is drawn by itself, and what is told at most five times a second.

    """
    size = total if weight is None else weight
    if terminal.is_live(sys.stderr):
        # Imported here: whoever sees no bar does without rich.
        from relevo_cli.progress_bar import bar  # noqa: PLC0415

        remaining = Remaining(size, time.monotonic(), pace)
        with bar(what, total, remaining, ticks=ticks) as face:
            yield Progress(face, remaining)
    else:
        yield Progress(Lines(what, total), Remaining(size, time.monotonic(), pace))
