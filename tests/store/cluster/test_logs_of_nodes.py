"""Logs that are followed in a Redis Cluster, while their slots move and their nodes fail."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial

import pytest
from relevo_server.errors import StoreError
from relevo_server.keys import Key, partition_of
from relevo_server.server import storage_of
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.interface import Write
from store.cluster.tenants import TENANTS, node_of
from support.clients.calls import TIMEOUT
from support.redis.cluster import NODES, RedisCluster
from support.waiting import until_async

LATER = 3600.0
"""Seconds that no test takes: a wait that ends was ended by what the test does."""


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    """The store."""
    storage = storage_of(settings)
    await storage.check()
    yield storage
    await storage.close()


async def write(storage: Storage, tenant: str) -> int:
    """Write an entry of a tenant. Returns its version."""
    return (await storage.write(Write(Key("conversation", tenant, "c1"), b"", 60_000))).version


async def waiting(storage: Storage, tenant: str) -> asyncio.Task[None]:
    """A wait for the next event of the tenant's partition, which has one already."""
    position = await write(storage, tenant)
    partition = storage.partition_of(tenant)
    assert (await storage.tail(partition, position, 1)).gap is None
    wait = asyncio.create_task(storage.wait(partition, position, LATER))
    await asyncio.sleep(0)
    return wait


@pytest.fixture
def homes(redis_cluster: RedisCluster, settings: Settings) -> list[str]:
    """A tenant of each node."""
    nodes = {node_of(redis_cluster, settings, each): each for each in TENANTS}
    return [nodes[number] for number in range(NODES)]


async def test_each_node_tells_of_its_logs(storage: Storage, homes: list[str]) -> None:
    """Waits for logs of all nodes end with their own next event."""
    waits = [await waiting(storage, each) for each in homes]
    for number, tenant in enumerate(homes):
        await write(storage, tenant)
        await asyncio.wait_for(waits[number], TIMEOUT)
        assert not any(each.done() for each in waits[number + 1 :])


async def test_a_slot_that_moves(
    redis_cluster: RedisCluster, storage: Storage, settings: Settings, homes: list[str]
) -> None:
    """Who waits learns that the log has left the node, and is told by the new one from then on.

    That holds amid the move, too, when the keys are there and the slot is not (ASK).
    """
    tenant = homes[0]
    slot = redis_cluster.slot_of(tag_of(settings, tenant))
    here, there, _ = redis_cluster.clients
    wait = await waiting(storage, tenant)
    partition = storage.partition_of(tenant)
    position = (await storage.tail(partition, None, 1)).revision
    there("CLUSTER", "SETSLOT", slot, "IMPORTING", here("CLUSTER", "MYID"))
    here("CLUSTER", "SETSLOT", slot, "MIGRATING", there("CLUSTER", "MYID"))
    names = here("CLUSTER", "GETKEYSINSLOT", slot, 100)
    here("MIGRATE", "127.0.0.1", redis_cluster.nodes[1].port, "", 0, 5000, "KEYS", *names)
    try:
        await asyncio.wait_for(wait, TIMEOUT)
        assert (await storage.tail(partition, position, 1)).gap is None
        amid = asyncio.create_task(storage.wait(partition, position, LATER))
        await asyncio.sleep(0)
        there("ASKING")
        there("XADD", f"{tag_of(settings, tenant)}:log", "*", "foreign", "entry")
        await asyncio.wait_for(amid, TIMEOUT)
        redis_cluster.give(slot, 1)
        after = await waiting(storage, tenant)
        await write(storage, tenant)
        await asyncio.wait_for(after, TIMEOUT)
    finally:
        redis_cluster.give(slot, 1)
        for name in there("CLUSTER", "GETKEYSINSLOT", slot, 100):
            there("DEL", name)
        redis_cluster.give(slot, 0)


async def test_a_node_that_fails(
    redis_cluster: RedisCluster, settings: Settings, homes: list[str]
) -> None:
    """If a node does not answer, the waits for its logs fail, and no others."""
    storage = storage_of(settings.model_copy(update={"store_timeout": 0.5}))
    for tenant in homes:
        await until_async(partial(is_read, storage, tenant))
    waits = [await waiting(storage, each) for each in homes]
    redis_cluster.nodes[2].signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreError):
            await storage.tail(storage.partition_of(homes[2]), None, 1)
        with pytest.raises(StoreError):
            await asyncio.wait_for(waits[2], TIMEOUT)
        for number in (0, 1):
            await until_async(partial(is_read, storage, homes[number]))
            await asyncio.wait_for(waits[number], TIMEOUT)
    finally:
        redis_cluster.nodes[2].signal(signal.SIGCONT)
    await until_async(partial(is_read, storage, homes[2]))
    await storage.close()


async def is_read(storage: Storage, tenant: str) -> bool:
    """Whether an entry can be written and its log be read, on a busy machine too."""
    try:
        await write(storage, tenant)
        await storage.tail(storage.partition_of(tenant), None, 1)
    except StoreError:
        return False
    return True


def tag_of(settings: Settings, tenant: str) -> str:
    """The hash tag of a tenant's keys."""
    return f"{{{settings.store_prefix}:{partition_of(tenant, settings.partitions)}}}"
