"""A real master with replicas and Sentinels, which the tests start and stop."""

from contextlib import ExitStack
from typing import Any, Self

from support.redis.process import RedisProcess
from support.waiting import until

SERVICE = "mymaster"
REPLICAS = 2
SENTINELS = 3
_WATCH = """
sentinel monitor {service} 127.0.0.1 {port} 2
sentinel down-after-milliseconds {service} {silence}
sentinel failover-timeout {service} 2000
"""


class RedisSentinels:
    """A master, two replicas, and three Sentinels that fail over within seconds. Use with `with`.

    `url` is the store's URL; `silence` is the seconds after which a silent server counts as
    lost.
    """

    def __init__(self, *, silence: float = 0.5) -> None:
        self._silence = silence
        self._stack = ExitStack()
        self.servers: list[RedisProcess] = []
        """The servers; the first one is the first master."""
        self.sentinels: list[RedisProcess] = []
        self.url = ""

    def __enter__(self) -> Self:
        with self._stack:  # stops the started servers if the rest fails
            first = self._start(self.servers)
            for _ in range(REPLICAS):
                self._start(self.servers, "--replicaof", "127.0.0.1", str(first.port))
            silence = round(self._silence * 1000)
            config = _WATCH.format(service=SERVICE, port=first.port, silence=silence)
            for _ in range(SENTINELS):
                self._start(self.sentinels, "--sentinel", config=config)
            until(self.is_whole, within=30, what="Sentinels that know each other")
            self._stack = self._stack.pop_all()
        addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{addresses}/{SERVICE}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def master(self) -> RedisProcess:
        """The master. Raises AssertionError while the Sentinels disagree."""
        master = self.agreed()
        assert master, "the Sentinels differ"
        return master

    def agreed(self) -> RedisProcess | None:
        """The master that all Sentinels agree on, or None."""
        ports = {found["port"] for found in map(_ask, self.sentinels)}
        named = [server for server in self.servers if server.port in ports]
        return named[0] if len(named) == 1 else None

    def is_whole(self) -> bool:
        """Whether every Sentinel knows all others, and the replicas are in sync."""
        for found in map(_ask, self.sentinels):
            if (found["num-slaves"], found["num-other-sentinels"]) != (REPLICAS, SENTINELS - 1):
                return False
        with self.servers[0].client() as client:
            replicas = client("ROLE")[2]
        return len(replicas) == REPLICAS

    def _start(self, group: list[RedisProcess], *options: str, config: str = "") -> RedisProcess:
        process = self._stack.enter_context(RedisProcess(*options, config=config))
        group.append(process)
        return process


def _ask(sentinel: RedisProcess) -> dict[str, Any]:
    with sentinel.client() as client:
        found: dict[str, Any] = client("SENTINEL MASTER", SERVICE)
    return found
