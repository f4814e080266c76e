"""Runs the programs that a release is made with, in the repository's folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository, or the copy of it that this file belongs to."""


class FailedError(Exception):
    """A program that failed. Its text has the command and what the program said."""


def run(*command: str | Path, folder: Path = ROOT, stdin: str = "", **variables: str) -> str:
    """Run a program to its end, and return what it printed.

    `variables` are added to its environment. Raises FailedError if the program fails.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), **variables},
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise FailedError(f"{' '.join(map(str, command))} failed:\n{said}")
    return done.stdout


def module(*arguments: str | Path) -> str:
    """Run a module of this Python's environment as a program, as `python -m` does."""
    return run(sys.executable, "-m", *arguments)


def environment() -> dict[str, str]:
    """The environment without settings of Relevo: a release is made without them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RELEVO_")}
