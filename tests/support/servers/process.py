"""Runs real `relevo serve` processes."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from support.forking.process import ForkedProcess, completed
from support.waiting import PATIENCE, until

IMPORTS = ("relevo_server.__main__", "relevo_server.cli.serve")
"""The modules that `relevo` and `relevo serve` import as they begin."""


class RelevoProcess:
    """A running server process, whose output is collected."""

    def __init__(
        self, flags: tuple[str, ...], environment: Mapping[str, str], *, fresh: bool
    ) -> None:
        self.lines: list[str] = []
        """The lines that it has printed on stderr so far."""
        read, write = os.pipe()
        try:
            start = _started if fresh else _forked
            self.process = start(flags, environment, write)
        finally:
            os.close(write)
        self._reader = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._reader.start()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines that are log events, as objects."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of this name."""
        return [event for event in self.log if event["event"] == name]

    @property
    def address(self) -> str:
        """The address that the server listens on."""
        address: str = self.events("server.started")[0]["address"]
        return address

    @property
    def metrics_address(self) -> str:
        """The address of its endpoint for Prometheus, "" if it has none."""
        return next((str(each["address"]) for each in self.events("metrics.started")), "")

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        self.process.send_signal(number)

    def wait(self, within: float = PATIENCE) -> int:
        """Wait for the end and return the exit code. Afterwards `lines` is complete."""
        code = self.process.wait(within)
        self._reader.join(within)
        return code

    def close(self) -> None:
        """Stop the server with SIGTERM, and with SIGKILL if it does not end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()

    def _read(self, stderr: int) -> None:
        with open(stderr, encoding="utf-8") as stream:
            self.lines.extend(stream)


def _forked(flags: Sequence[str], environment: Mapping[str, str], stderr: int) -> ForkedProcess:
    return ForkedProcess(
        *("relevo_server.__main__", "serve", *flags),
        imports=IMPORTS,
        environment={**os.environ, **environment},
        stderr=stderr,
    )


def _started(
    flags: Sequence[str], environment: Mapping[str, str], stderr: int
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "relevo_server", "serve", *flags],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env={**os.environ, **environment},
    )


@contextmanager
def relevo_serve(
    *flags: str, environment: Mapping[str, str] | None = None, fresh: bool = False
) -> Generator[RelevoProcess, None, None]:
    """Run a server on a free port, wait until it is ready, and stop it at the end.

    `flags` may set another port; `environment` is added to the tests' environment. If `fresh`, a
    new interpreter runs it, as for users; otherwise it is forked from one that has imported it.
    """
    server = RelevoProcess(("--listen", "127.0.0.1:0", *flags), environment or {}, fresh=fresh)
    try:
        until(
            lambda: server.events("server.started") or server.process.poll() is not None,
            within=60,  # for a busy machine
            what="relevo serve",
        )
        assert server.process.poll() is None, "".join(server.lines)
        yield server
    finally:
        server.close()


def relevo_ends(
    *flags: str, environment: Mapping[str, str] | None = None, within: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Run `relevo serve` until it ends by itself, and return its exit code and output.

    `within` only ends a wait for a server that goes on: to start takes more than a second of
    CPU, and a busy machine may give it that in ten.
    """
    return completed(
        *("relevo_server.__main__", "serve", *flags),
        environment={**os.environ, **(environment or {})},
        imports=IMPORTS,
        timeout=within,
    )
