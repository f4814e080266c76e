"""Runs the tests' own Python programs as processes."""

import json
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from support.forking.process import ForkedProcess


class PythonProcess:
    """A module run as a program, which prints one JSON value a line."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.lines: list[Any] = []
        """The values that it has printed so far."""
        read, write = os.pipe()
        try:
            self.process = ForkedProcess(module, *arguments, imports=[module], stdout=write)
        finally:
            os.close(write)
        self._reader = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._reader.start()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self, within: float) -> int:
        """Wait for the end and return the exit code. Afterwards `lines` is complete."""
        code = self.process.wait(within)
        self._reader.join(within)
        return code

    def _read(self, stdout: int) -> None:
        with open(stdout, encoding="utf-8") as stream:
            for line in stream:
                self.lines.append(json.loads(line))


@contextmanager
def python_process(module: str, *arguments: str) -> Generator[PythonProcess, None, None]:
    """Run a program, and kill it at the end, whatever its state."""
    process = PythonProcess(module, *arguments)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.signal(signal.SIGKILL)
        process.wait(10)
