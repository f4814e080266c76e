"""Python programs of the tests' own, each in a process that can be stopped and read from."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


class PythonProcess:
    """A module that runs as a program and prints one JSON value a line."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.lines: list[Any] = []
        """What it printed so far."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, within: float) -> int:
        """Wait for its end: the exit code. After it, `lines` is complete."""
        code = self.process.wait(within)
        self._reader.join(within)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(json.loads(line))


@contextmanager
def python_process(module: str, *arguments: str) -> Generator[PythonProcess, None, None]:
    """A program that is ended in the end, whatever state it is in."""
    process = PythonProcess(module, *arguments)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.signal(signal.SIGKILL)
        process.wait(10)
