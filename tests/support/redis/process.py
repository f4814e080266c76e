"""Real Redis servers, which the tests start on free ports and stop."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import redis
from nooble.redis_binary import NoRedisError, binary

from support.network.ports import ReservedPort
from support.redis.client import RedisClient
from support.waiting import until


def describe() -> str:
    """The Redis that the tests run on."""
    given = os.environ.get("RELEVO_TEST_REDIS")
    if given:
        return f"{given} (RELEVO_TEST_REDIS)"
    try:
        path = binary()
    except NoRedisError as error:
        return str(error)
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    return f"{version.stdout.strip()} ({path})"


class RedisProcess:
    """A Redis server, by default without persistence. Use with `with`.

    `options` are further arguments of redis-server; `config` is the content of its
    configuration file, if it needs one; `bus` is the distance of its second port from the
    first. It ends by SIGKILL at the latest, whatever the state of the process.
    """

    def __init__(self, *options: str, bus: int = 0, config: str = "") -> None:
        self._reserved = ReservedPort(also=bus)
        self.port = self._reserved.number
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._directory = tempfile.TemporaryDirectory(prefix="relevo-redis-")
        self._config = Path(self._directory.name) / "redis.conf"
        self.configure(config)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reserved.close()
        self._directory.cleanup()

    def configure(self, text: str) -> None:
        """Write its configuration file, before it starts."""
        self._config.write_text(text)

    def start(self, *, ready: bool = True) -> None:
        """Start the server, on the same port as before if it was stopped.

        Returns as soon as the server answers, or at once without `ready`.
        """
        self._process = subprocess.Popen(
            [
                *(binary(), self._config),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", self._directory.name, *self._options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )
        if ready:
            until(self.answers, within=60, what=f"redis-server on port {self.port}")

    def stop(self) -> None:
        """Kill the server."""
        if self._process:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def lose_data(self) -> None:
        """Remove a stopped server's data from disk."""
        assert self._process is None
        for each in Path(self._directory.name).iterdir():
            if each != self._config:
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def backup(self) -> bytes:
        """Its data, as `redis-cli --rdb` writes it."""
        with self.client() as client:
            client("SAVE")
        return self._dump.read_bytes()

    def restore(self, backup: bytes) -> None:
        """Replace a stopped server's data."""
        self.lose_data()
        self._dump.write_bytes(backup)

    @property
    def _dump(self) -> Path:
        return Path(self._directory.name) / "dump.rdb"

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal, for example SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def client(self) -> RedisClient:
        """A client for the tests, to be used with `with`."""
        return RedisClient(self.url)

    def answers(self) -> bool:
        """Whether the server answers and has finished loading."""
        with self.client() as client:
            try:
                return bool(client("PING"))
            except redis.AuthenticationError:
                return True
            except redis.ConnectionError:
                return False
