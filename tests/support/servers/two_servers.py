"""Two servers over one Redis, for clients that may connect to either."""

import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from support.network.ports import ReservedPort
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve


class Servers:
    """Two servers over one Redis, each of which can be stopped and started again."""

    def __init__(self, redis: RedisProcess) -> None:
        self._redis = redis
        self._running: dict[int, tuple[ExitStack, RelevoProcess]] = {}
        self._reserved = (ReservedPort(), ReservedPort())
        self.ports = (self._reserved[0].number, self._reserved[1].number)

    def start(self, port: int) -> None:
        """Start one server, and wait until it listens."""
        stack = ExitStack()
        serving = relevo_serve("--store", self._redis.url, "--listen", f"127.0.0.1:{port}")
        self._running[port] = stack, stack.enter_context(serving)

    def target(self, first: int = 0) -> str:
        """The target of both servers, for a client that starts with the first or the second one."""
        ports = self.ports if first == 0 else reversed(self.ports)
        return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)

    def stop(self, port: int) -> None:
        """Stop one server with SIGTERM, and check its exit code."""
        assert self._end(port, signal.SIGTERM) == 0

    def kill(self, port: int) -> None:
        """Kill one server."""
        assert self._end(port, signal.SIGKILL) == -signal.SIGKILL

    def close(self) -> None:
        """Stop the running servers."""
        for port in list(self._running):
            self.stop(port)
        for each in self._reserved:
            each.close()

    def _end(self, port: int, number: signal.Signals) -> int:
        stack, process = self._running.pop(port)
        with stack:
            process.signal(number)
            return process.wait()


@contextmanager
def two_servers(redis: RedisProcess) -> Generator[Servers, None, None]:
    """Run both servers."""
    servers = Servers(redis)
    try:
        for port in servers.ports:
            servers.start(port)
        yield servers
    finally:
        servers.close()
