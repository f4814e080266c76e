"""`Report`: what the demo tells of its events, as they happen."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

from relevo_client import ContextRef

from relevo_demo.files import Change, Script
from relevo_demo.processes import Platform
from relevo_demo.turns import Turn


class Report(Protocol):
    """Prints the demo's events to standard output as they happen."""

    def opening(self, script: Script) -> None:
        """Print what is about to happen. Nothing has started yet."""
        ...

    def platform(self, platform: Platform, puts: int) -> None:
        """Print the processes and the number of published entries."""
        ...

    def turn(self, turn: Turn, before: Turn | None) -> None:
        """Print a turn. `before` is the conversation's last one, None if there is none."""
        ...

    def change(self, change: Change, put: ContextRef, seconds: float) -> None:
        """Print the Put that changes an agent, which took some seconds."""
        ...

    def summary(self, turns: Sequence[Turn], puts: int, change: Change) -> None:
        """Print the summary of a demo in which every promise was kept."""
        ...

    def problems(self, problems: Sequence[str]) -> None:
        """Print the promises that were not kept."""
        ...


def text_of(value: Any) -> str:
    """A setting's value as people read it."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, sort_keys=True, separators=(", ", " "))
    return text.strip("{}").replace('"', "")
