"""A Redis Cluster client: each command goes to the node that owns its key's slot.

The map of slots is not fetched but learned. A node that does not own a slot names its
owner (MOVED), or the node that has the key while the slot migrates (ASK). It has not run
the command, so the command may be sent there. While the keys of a command are on two nodes,
none of them runs it (TRYAGAIN): it is sent again until the slot has arrived, or its time is
over. A command that a node has run, or may have run, is not repeated.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from redis import exceptions as redis_errors
from redis.crc import key_slot

from relevo_server.deadline import earliest
from relevo_server.storage.redis.connection import Address, Argument, Server
from relevo_server.storage.redis.pool import FAILURES, Pool
from relevo_server.storage.redis.tracking import Tracker, TrackingConnection, Unchanged

SCHEMES = ("redis+cluster", "rediss+cluster")
_HOPS = 5
"""Nodes that a command is sent to without a pause: for a moment they may disagree on the owner."""
_SHORTEST, _LONGEST = 0.01, 0.1
"""Seconds between attempts of a command that no node has run: each pause is twice the last."""
_GONE = (OSError, redis_errors.ConnectionError, redis_errors.ClusterDownError)


class _DisagreementError(ConnectionError):
    """Nodes send a command to one another, and none runs it."""


_NOT_NOW = (redis_errors.TryAgainError, _DisagreementError)
"""No node has run the command, and the end of the slot's move is near. Not so with CLUSTERDOWN or
LOADING, which last for longer than a call: the caller is to know at once."""


class _Send(Protocol):
    """Sends a command to one node, as `Pool.send` does."""

    async def __call__(
        self, words: tuple[Argument, ...], end: float, *, asking: bool = False
    ) -> Any: ...


class _Node(NamedTuple):
    """The connections to one node."""

    pool: Pool
    tracker: Tracker


class Cluster:
    """A connection pool and a tracker for each node of a Cluster. The URL names any node."""

    def __init__(self, url: str, *, timeout: float, max_connections: int) -> None:
        self._server = Server(url.replace("+cluster", "", 1))
        self._timeout = timeout
        self._max_connections = max_connections
        self._owners: dict[int, Address] = {}
        self._nodes: dict[Address, _Node] = {}
        # The first one gets the commands for slots whose owner is not known.
        self._addresses = [self._server.address]

    async def execute_command(self, *words: Argument, is_alone: bool = False) -> Any:
        """Send one command, as `Pool` does. Raises RedisError, OSError or TimeoutError."""
        return await self._deliver(words, lambda node: partial(node.pool.send, is_alone=is_alone))

    async def read(self, key: bytes, *words: Argument) -> tuple[Any, Unchanged]:
        """Send one command that reads a key, as `Tracker.read` does."""
        found: tuple[Any, Unchanged] = await self._deliver(
            words, lambda node: partial(node.tracker.send, key=key)
        )
        return found

    async def refused(self, key: bytes) -> dict[str, str]:
        """As `Tracker.refused`, of the node that is known to have a key."""
        return await self._node(self._owner_of(key_slot(key))).tracker.refused(key)

    async def masters(self) -> Sequence[Pool]:
        """The pools of all masters; none if no node tells of them."""
        here = self._addresses[0]
        try:
            slots = await self._node(here).pool.execute_command("CLUSTER", "SLOTS")
        except FAILURES:
            return ()
        return [self._node(each).pool for each in {_master_of(each, here) for each in slots}]

    async def aclose(self) -> None:
        """Close the connections."""
        for pool, tracker in self._nodes.values():
            await pool.aclose()
            await tracker.aclose()

    async def _deliver(
        self, words: tuple[Argument, ...], sender_of: Callable[[_Node], _Send]
    ) -> Any:
        """Send one command, again and again while no node can run it yet."""
        loop = asyncio.get_running_loop()
        end = earliest(loop.time() + self._timeout)
        pause = _SHORTEST
        while True:
            try:
                return await self._send(words, end, sender_of)
            except _NOT_NOW:
                if loop.time() + pause >= end:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    async def _send(
        self, words: tuple[Argument, ...], end: float, sender_of: Callable[[_Node], _Send]
    ) -> Any:
        """Send one command to the node that it belongs to, wherever others say that it is."""
        slot = key_slot(_key_of(words))
        address, asking = self._owner_of(slot), False
        for _ in range(_HOPS):
            try:
                return await sender_of(self._node(address))(words, end, asking=asking)
            except redis_errors.MovedError as error:
                address, asking = _named_by(error, address), False
                self._owners[slot] = address
            except redis_errors.AskError as error:
                address, asking = _named_by(error, address), True
            except _GONE:
                self._forget(address)
                raise
        raise _DisagreementError("the nodes of the Cluster do not agree")

    def _owner_of(self, slot: int) -> Address:
        """The node that is known to have a slot, or one that knows which it is."""
        return self._owners.get(slot, self._addresses[0])

    def _node(self, address: Address) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            pool = Pool(
                partial(self._server.open, address=address),
                timeout=self._timeout,
                max_connections=self._max_connections,
            )
            opener = partial(self._server.open_as, TrackingConnection, address=address)
            node = self._nodes[address] = _Node(pool, Tracker(opener, timeout=self._timeout))
            if address not in self._addresses:
                self._addresses.append(address)
        return node

    def _forget(self, address: Address) -> None:
        """Ask other nodes for its slots: a replica may own them by now."""
        self._owners = {slot: owner for slot, owner in self._owners.items() if owner != address}
        self._addresses.remove(address)
        self._addresses.append(address)


def _named_by(error: Any, here: Address) -> Address:
    """The node that MOVED or ASK names. A node that does not know its own host omits it."""
    return Address(error.host or here.host, error.port)


def _master_of(slots: Any, here: Address) -> Address:
    """The master of a range of slots in CLUSTER SLOTS. Without a host it is the host `here`."""
    _, _, (host, port, *_), *_ = slots
    return Address(host.decode() if host else here.host, port)


def _key_of(words: tuple[Argument, ...]) -> bytes:
    """A key of the command: a script, or one that begins with its key."""
    position = 3 if words[0] in {"EVAL", "EVALSHA"} else 1
    return str(words[position]).encode()
