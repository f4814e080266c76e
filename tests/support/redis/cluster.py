"""A real Redis Cluster of three masters, started and ended by the tests."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.waiting import until

NODES = 3
SLOTS = 16_384
_BUS = 10_000  # a node's second port is this much above its first
_OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
    *("--cluster-node-timeout", "5000", "--cluster-announce-ip", "127.0.0.1"),
)


class RedisCluster:
    """Three masters that share the slots evenly. Use with `with`.

    `clients` has a client for each node, `url` is the store's URL. `start` makes a node
    from options of redis-server and from `bus`; `options` are further options.
    """

    def __init__(self, start: Callable[..., RedisProcess] = RedisProcess, *options: str) -> None:
        self._start = start
        self._options = (*_OPTIONS, *options)
        self._stack = ExitStack()
        self.nodes: list[RedisProcess] = []
        self.clients: list[RedisClient] = []
        self.url = ""

    def __enter__(self) -> Self:
        with self._stack:  # stops the started servers if the rest fails
            for _ in range(NODES):
                node = self._start(*self._options, bus=_BUS)
                self.nodes.append(self._stack.enter_context(node))
                self.clients.append(self._stack.enter_context(node.client()))
            self._join()
            self._stack = self._stack.pop_all()
        self.url = self.nodes[0].url.replace("://", "+cluster://", 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _join(self) -> None:
        for i, client in enumerate(self.clients):
            client("CLUSTER", "ADDSLOTS", *range(SLOTS * i // NODES, SLOTS * (i + 1) // NODES))
            client("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all(map(_is_whole, self.clients)), within=30, what="the cluster")

    def slot_of(self, name: str) -> int:
        """The slot of a key."""
        slot: int = self.clients[0]("CLUSTER", "KEYSLOT", name)
        return slot

    def node_of(self, name: str) -> int:
        """The number of the node that a key belongs to at first."""
        return next(i for i in range(NODES) if self.slot_of(name) < SLOTS * (i + 1) // NODES)

    def give(self, slot: int, node: int) -> None:
        """Assign a slot without keys to another node."""
        name = self.clients[node]("CLUSTER", "MYID")
        for client in self.clients:
            client("CLUSTER", "SETSLOT", slot, "NODE", name)


def _is_whole(client: RedisClient) -> bool:
    found: bytes = client("CLUSTER", "INFO")
    wanted = ("cluster_state:ok", f"cluster_slots_ok:{SLOTS}", f"cluster_size:{NODES}")
    return set(wanted) <= set(found.decode().split())
