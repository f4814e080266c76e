"""A Redis Cluster moves a slot amid writes and a Watch, and nothing is lost.

While a slot moves, its keys are on two nodes, and scripts that touch some of each are refused
(TRYAGAIN): only during that time, its tenants wait or are UNAVAILABLE.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest
from relevo_server import revisions
from relevo_server.keys import partition_of
from support.clients.load import KEYS, Load
from support.redis.cluster import NODES, RedisCluster
from support.servers.process import RelevoProcess, relevo_serve

STAGE = 0.3
"""Seconds of each stage of the move, so that the load meets all of them."""


@pytest.fixture
def tag() -> str:
    """The hash tag of the partition that the load writes."""
    return f"{{test-{uuid.uuid4().hex}:{partition_of(KEYS[0].tenant_id, 64)}}}"


@pytest.fixture
def servers(redis_cluster: RedisCluster, tag: str) -> Iterator[list[RelevoProcess]]:
    """Two servers on one store."""
    flags = ("--store", redis_cluster.url, "--store-prefix", tag[1:].partition(":")[0])
    with relevo_serve(*flags) as one, relevo_serve(*flags) as other:
        yield [one, other]


async def move(cluster: RedisCluster, slot: int, source: int, target: int) -> None:
    """Move a slot as `redis-cli --cluster reshard` does, slowly."""
    here, there = cluster.clients[source], cluster.clients[target]
    there("CLUSTER", "SETSLOT", slot, "IMPORTING", here("CLUSTER", "MYID"))
    here("CLUSTER", "SETSLOT", slot, "MIGRATING", there("CLUSTER", "MYID"))
    await asyncio.sleep(STAGE)
    port = cluster.nodes[target].port
    held = here("CLUSTER", "COUNTKEYSINSLOT", slot)
    for left in (held // 2, 0):
        while (held := here("CLUSTER", "COUNTKEYSINSLOT", slot)) > left:
            names = here("CLUSTER", "GETKEYSINSLOT", slot, min(held - left, 50))
            here("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *names)
        await asyncio.sleep(STAGE)
    cluster.give(slot, target)


async def test_a_slot_that_moves_under_load(
    redis_cluster: RedisCluster, servers: list[RelevoProcess], tag: str
) -> None:
    """A slot moves there and back: all acknowledged writes are in the log; no watch is reset."""
    slot = redis_cluster.slot_of(tag)
    home = redis_cluster.node_of(tag)
    away = (home + 1) % NODES
    async with Load(writing=servers[0].address, reading=servers[1].address) as load:
        for source, target in ((home, away), (away, home)):
            await load.settled(writes=20)
            begin = time.monotonic()
            await move(redis_cluster, slot, source, target)
            moved = time.monotonic()
            print(f"moved in {moved - begin:.2f} s, written {await load.settled():.2f} s later")
        print(f"converged in {await load.converged():.2f} s")
        events = redis_cluster.clients[home]("XRANGE", f"{tag}:log", "-", "+")
        await load.check({revisions.from_log_id(log_id) for log_id, _ in events})
    for server in servers:
        assert not server.events("watch.reset")
