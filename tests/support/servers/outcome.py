"""The result of a `relevo` command, whether it ran in a process of its own or not."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from relevo_cli.progress import PREFIX


@dataclass(frozen=True)
class Outcome:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines that it printed."""
        return self.out.splitlines()

    @property
    def message(self) -> str:
        """The error message: the last line, after the usage."""
        assert "Traceback" not in self.err, self.err
        lines = self.err.splitlines()
        explained = [line for line in lines if line.startswith("relevo")]
        assert len(explained) == 1, self.err
        assert lines[-1] == explained[0], self.err
        return explained[0]


def complaints(errors: str) -> list[str]:
    """The lines on standard error, without those that show the progress of slow work."""
    return [line for line in errors.splitlines() if not line.startswith(PREFIX)]


class Relevo(Protocol):
    """Runs `relevo` to its end."""

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        """Run it with these arguments and this standard input."""
        ...
