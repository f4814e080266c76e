"""A Redis Cluster whose slots move, and whose nodes stop."""

import asyncio
import signal

import redis
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import GetRequest
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from store.cluster.tenants import TENANTS, node_of
from support.clients.calls import (
    Stub,
    context,
    get,
    is_alive,
    key,
    put,
)
from support.failures import failure_of
from support.redis.cluster import RedisCluster
from support.waiting import until, until_async


async def test_a_slot_that_moved(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """A tenant whose slot was given to another node is found there, or UNAVAILABLE for now."""
    tenant = next(t for t in TENANTS if node_of(redis_cluster, settings, t) == 0)
    partition = partition_of(tenant, settings.partitions)
    slot = redis_cluster.slot_of(f"{{{settings.store_prefix}:{partition}}}")
    await asyncio.gather(*(is_alive(stub, key(tenant=each)) for each in TENANTS))
    redis_cluster.give(slot, 1)

    async def written() -> bool:
        try:
            await put(stub, key(tenant=tenant), context(user_id="u"))
        except aio.AioRpcError as error:
            assert error.code() is StatusCode.UNAVAILABLE  # noqa: PT017
            return False
        return True

    try:
        await until_async(written)
        assert (await get(stub, key(tenant=tenant))).entry.context.user_id == "u"
        names = redis_cluster.clients[1].names(settings.store_prefix)
        assert any(tenant in name for name in names)
    finally:
        give_back(redis_cluster, slot)


async def test_a_slot_whose_keys_have_moved_before_it(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """Reads at the end of a slot's move are answered by the node that has its keys (ASK).

    A write also names keys that may not be there, of which that node cannot know whether they
    are still to come: it is UNAVAILABLE, until the slot has moved.
    """
    tenant = next(t for t in TENANTS if node_of(redis_cluster, settings, t) == 0)
    tag = f"{{{settings.store_prefix}:{partition_of(tenant, settings.partitions)}}}"
    slot, (here, there, _) = redis_cluster.slot_of(tag), redis_cluster.clients
    version = (await put(stub, key(tenant=tenant))).revision
    await asyncio.gather(*(get(stub, key(tenant=tenant)) for _ in range(20)))
    there("CLUSTER", "SETSLOT", slot, "IMPORTING", here("CLUSTER", "MYID"))
    here("CLUSTER", "SETSLOT", slot, "MIGRATING", there("CLUSTER", "MYID"))
    names = here("CLUSTER", "GETKEYSINSLOT", slot, 100)
    here("MIGRATE", "127.0.0.1", redis_cluster.nodes[1].port, "", 0, 5000, "KEYS", *names)
    try:
        answers = await asyncio.gather(*(get(stub, key(tenant=tenant)) for _ in range(20)))
        assert {answer.entry.version for answer in answers} == {version}
        failure = await failure_of(put(stub, key(tenant=tenant), if_version=version))
        assert failure.reason == "STORE_UNAVAILABLE"
        redis_cluster.give(slot, 1)
        second = await put(stub, key(tenant=tenant), if_version=version)
        assert second.revision > version
    finally:
        redis_cluster.give(slot, 1)
        give_back(redis_cluster, slot)


async def test_a_node_that_lost_its_slots(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """After a node fell silent others are asked who has its slots, be it the node of the URL."""
    tenant = next(t for t in TENANTS if node_of(redis_cluster, settings, t) == 0)
    tag = f"{{{settings.store_prefix}:{partition_of(tenant, settings.partitions)}}}"
    slot, name = redis_cluster.slot_of(tag), redis_cluster.clients[1]("CLUSTER", "MYID")
    await asyncio.gather(*(is_alive(stub, key(tenant=each)) for each in TENANTS))
    redis_cluster.nodes[0].signal(signal.SIGSTOP)
    try:
        for client in redis_cluster.clients[1:]:
            client("CLUSTER", "SETSLOT", slot, "NODE", name)
        failure = await failure_of(put(stub, key(tenant=tenant)))
        assert failure.reason == "STORE_UNAVAILABLE"
        assert (await put(stub, key(tenant=tenant))).revision
    finally:
        redis_cluster.nodes[0].signal(signal.SIGCONT)
        give_back(redis_cluster, slot)


def give_back(cluster: RedisCluster, slot: int) -> None:
    """Let the first node have a slot again that the second one has, without its keys."""

    def is_given() -> bool:
        for name in cluster.clients[1]("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            cluster.clients[1]("DEL", name)
        try:
            cluster.give(slot, 0)
        except redis.ResponseError as error:
            # A Put whose caller has given up is written late: there are keys again.
            assert "hold keys" in str(error)  # noqa: PT017
            return False
        return True

    until(is_given)


async def test_a_node_that_stopped(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """Its tenants are UNAVAILABLE, in time; those of other nodes are answered as ever."""
    await asyncio.gather(*(put(stub, key(tenant=tenant)) for tenant in TENANTS))
    nodes = {node_of(redis_cluster, settings, tenant): key(tenant=tenant) for tenant in TENANTS}
    redis_cluster.nodes[2].signal(signal.SIGSTOP)
    try:
        failure = await failure_of(stub.Get(GetRequest(key=nodes[2]), timeout=4))
        assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        for node in (0, 1):
            assert (await stub.Get(GetRequest(key=nodes[node]), timeout=4)).entry.key == nodes[node]
    finally:
        redis_cluster.nodes[2].signal(signal.SIGCONT)

    async def answered() -> bool:
        try:
            return await is_alive(stub, nodes[2])
        except aio.AioRpcError as error:
            assert error.code() is StatusCode.UNAVAILABLE  # noqa: PT017
            return False

    await until_async(answered)
