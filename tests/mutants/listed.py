"""The list of deliberate breaks, as `mutants.toml` has it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutants.toml")
PROBED = Path(__file__).with_name("probe.toml")
"""The breaks that the probe has to find in a fleet that runs."""


@dataclass(frozen=True)
class Mutant:
    """One deliberate break of the code, and the tests that have to see it."""

    name: str
    rule: str
    """What the break ignores: an invariant of the contract, or a promise in words."""
    file: str
    """The broken file, from the root of the project."""
    find: str
    """Text that the file has once."""
    replace: str
    """What stands there instead."""
    tests: tuple[str, ...] = ()
    """Arguments of pytest: of these tests at least one has to fail."""
    finds: tuple[str, ...] = ()
    """In the probe's list: the checks of the probe, of which one has to find it."""
    trimmed: bool = False
    """In the probe's list: whether it does harm only if the log loses events."""

    def broken(self, source: str) -> str:
        """The file with the break in it. Raises ValueError if the text is not there once."""
        found = source.count(self.find)
        if found != 1:
            raise ValueError(f"{self.name}: {self.file} has the text {found} times, not once")
        return source.replace(self.find, self.replace)


def mutants(path: Path = LIST) -> list[Mutant]:
    """All of them, in the order of the list."""
    listed: list[dict[str, Any]] = tomllib.loads(path.read_text())["mutant"]
    return [
        Mutant(tests=tuple(each.pop("tests", ())), finds=tuple(each.pop("finds", ())), **each)
        for each in listed
    ]
