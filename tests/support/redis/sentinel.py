"""A real master with replicas and Sentinels, which the tests start and stop."""

from contextlib import ExitStack
from typing import Any, Self

from support.redis.process import RedisProcess
from support.waiting import until

SERVICE = "mymaster"
REPLICAS = 2
SENTINELS = 3
_WATCH = """
sentinel myid {id}
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
            self.sentinels += [RedisProcess("--sentinel") for _ in range(SENTINELS)]
            for number, sentinel in enumerate(self.sentinels):
                sentinel.configure(self._config_of(number))
                self._stack.enter_context(sentinel)
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

    def _start(self, group: list[RedisProcess], *options: str) -> RedisProcess:
        process = self._stack.enter_context(RedisProcess(*options))
        group.append(process)
        return process

    def _config_of(self, number: int) -> str:
        """The configuration of a Sentinel that has run before: to find the others takes seconds."""
        first, *replicas = self.servers
        watch = _WATCH.format(
            id=_id_of(number),
            service=SERVICE,
            port=first.port,
            silence=round(self._silence * 1000),
        )
        known = [f"known-replica {SERVICE} 127.0.0.1 {replica.port}" for replica in replicas]
        for other, sentinel in enumerate(self.sentinels):
            if other != number:
                known.append(f"known-sentinel {SERVICE} 127.0.0.1 {sentinel.port} {_id_of(other)}")
        return watch + "".join(f"sentinel {each}\n" for each in known)


def _id_of(number: int) -> str:
    """A Sentinel's id."""
    return f"{number + 1:040x}"


def _ask(sentinel: RedisProcess) -> dict[str, Any]:
    with sentinel.client() as client:
        found: dict[str, Any] = client("SENTINEL MASTER", SERVICE)
    return found
