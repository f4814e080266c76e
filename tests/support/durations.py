"""`Durations`: how long a program's steps took the last time, to say what remains this time."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter, ValidationError

_FOLDER = Path(__file__).parents[2] / ".cache" / "durations"
"""Where the programs of this checkout remember; `make clean` forgets."""
_SECONDS = TypeAdapter(dict[str, float])


class Durations:
    """The seconds that each step took when it was last run on this machine.

    `file` keeps them; it need not exist. Without a file, nothing is kept. A file that has
    something else is written anew: these are guesses.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._seconds: dict[str, float] = {}
        if file and file.exists():
            try:
                self._seconds = _SECONDS.validate_json(file.read_bytes())
            except ValidationError:
                self._seconds = {}

    @classmethod
    def of(cls, program: str) -> "Durations":
        """The durations of a program of this checkout."""
        return cls(_FOLDER / f"{program}.json")

    def expected(self, steps: Collection[str]) -> Mapping[str, float] | None:
        """The seconds that each step may take, or None if no step is known.

        An unknown step is expected to take as long as the known ones do, in the median.
        """
        known = [self._seconds[step] for step in steps if step in self._seconds]
        if not known:
            return None
        return {step: self._seconds.get(step, median(known)) for step in steps}

    def remember(self, step: str, seconds: float) -> None:
        """Remember how long a step has taken."""
        self._seconds[step] = seconds
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new = self._file.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(self._seconds, indent=1, sort_keys=True))
            new.replace(self._file)
