"""Progress of a program's named steps, which remembers how long each of them takes."""

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager

from relevo_cli.progress import Progress, showing

from support.durations import Durations


class NamedSteps:
    """The progress of steps that have names. Made by `showing_steps`."""

    def __init__(
        self, progress: Progress, expected: Mapping[str, float] | None, durations: Durations
    ) -> None:
        self._progress = progress
        self._expected = expected
        self._durations = durations

    def done(self, step: str, seconds: float) -> None:
        """Count a step as done, which took some seconds."""
        self._progress.advance(weight=self._expected[step] if self._expected else 1.0)
        self._durations.remember(step, seconds)

    def say(self, note: str) -> None:
        """Say what goes on now."""
        self._progress.say(note)

    def write(self, text: str) -> None:
        """Write a line to standard output, above the line that shows progress."""
        self._progress.write(text)


@contextmanager
def showing_steps(
    durations: Durations,
    what: str,
    steps: Collection[str],
    *,
    side_by_side: int = 1,
    ticks: bool = True,
) -> Generator[NamedSteps]:
    """Show the progress of named steps, and what remains by what they took the last time.

    `what` and `ticks` are those of `progress.showing`. `side_by_side` is how many steps go on at
    a time.
    """
    expected = durations.expected(steps)
    weight = sum(expected.values()) if expected else None
    pace = 1 / side_by_side if expected else None
    with showing(what, len(steps), weight=weight, pace=pace, ticks=ticks) as progress:
        yield NamedSteps(progress, expected, durations)
