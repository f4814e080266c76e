"""A real Redis Cluster of three masters, started and ended by the tests."""

from collections.abc import Callable, Collection
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
        # Nodes begin with one and the same epoch, and settle that among themselves when they
        # have been whole for a while already: a slot that moves meanwhile may be taken back.
        for i, client in enumerate(self.clients):
            client("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
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

    def give(self, slot: int, node: int, *, told: Collection[int] = range(NODES)) -> None:
        """Make a slot without keys belong to another node, in the order that Redis documents.

        The node takes it from an import, so that its claim has the newest epoch: without that,
        an older claim that is still under way undoes it. `told` are the numbers of the nodes
        that are told, the new owner's among them.
        """
        ids = {each: self._id_of(each) for each in told}
        until(lambda: len(self._owners(slot, told)) == 1, what="the nodes agree before the move")
        [owner] = self._owners(slot, told)
        if owner == ids[node]:
            return
        self.clients[node]("CLUSTER", "SETSLOT", slot, "IMPORTING", owner)
        # The new owner first, then the old one: nobody is sent to a node that does not know yet.
        for each in sorted(told, key=lambda each: (each != node, ids[each] != owner)):
            self.clients[each]("CLUSTER", "SETSLOT", slot, "NODE", ids[node])
        until(lambda: self._owners(slot, told) == {ids[node]}, what="the nodes agree on the move")

    def _id_of(self, node: int) -> bytes:
        name: bytes = self.clients[node]("CLUSTER", "MYID")
        return name

    def _owners(self, slot: int, asked: Collection[int]) -> set[bytes]:
        """The ids of the nodes that have a slot, as these nodes say: one if they agree."""
        answers = [self.clients[node]("CLUSTER", "SLOTS") for node in asked]
        ranges = [each for answer in answers for each in answer]
        return {master[2] for first, last, master, *_ in ranges if first <= slot <= last}


def _is_whole(client: RedisClient) -> bool:
    found: bytes = client("CLUSTER", "INFO")
    wanted = ("cluster_state:ok", f"cluster_slots_ok:{SLOTS}", f"cluster_size:{NODES}")
    return set(wanted) <= set(found.decode().split())
