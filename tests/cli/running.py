"""Runs a `relevo` command that goes on, and reads what it prints as it comes."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Any


class Running:
    """A command that runs in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        assert process.stderr
        self._out: IO[str] = process.stdout
        self._err: IO[str] = process.stderr

    def line(self) -> str:
        """The next line."""
        return self._out.readline().rstrip("\n")

    def event(self) -> Any:
        """The next line, which is JSON."""
        return json.loads(self.line())

    def message(self) -> str:
        """The next line on stderr."""
        return self._err.readline().rstrip("\n")


@contextmanager
def running(*words: str) -> Generator[Running]:
    """Run `relevo` with these words, and kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "relevo_cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        _, err = process.communicate()
        sys.stderr.write(err)  # if the test fails, pytest shows it
