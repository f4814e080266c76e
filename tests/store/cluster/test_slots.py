"""Slots of a real Redis Cluster that move to another node while a server uses them."""

import asyncio
import signal

import pytest
import redis
from grpc import StatusCode, aio
from pydantic import SecretStr
from relevo_server.keys import partition_of
from relevo_server.server import storage_of
from relevo_server.settings import Settings
from store.cluster.tenants import TENANTS
from support.clients.calls import Stub, context, get, is_alive, key, put
from support.failures import failure_of
from support.redis.cluster import RedisCluster
from support.redis.users import User
from support.servers.serving import serving
from support.waiting import until, until_async


def tag_of(settings: Settings, tenant: str) -> str:
    """The hash tag of a tenant's keys."""
    return f"{{{settings.store_prefix}:{partition_of(tenant, settings.partitions)}}}"


@pytest.fixture
def tenant(redis_cluster: RedisCluster, settings: Settings) -> str:
    """A tenant that lives on the first node."""
    return next(t for t in TENANTS if redis_cluster.node_of(tag_of(settings, t)) == 0)


@pytest.fixture
def slot(redis_cluster: RedisCluster, settings: Settings, tenant: str) -> int:
    """The tenant's slot."""
    return redis_cluster.slot_of(tag_of(settings, tenant))


async def test_a_slot_that_moved(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub, tenant: str, slot: int
) -> None:
    """A tenant whose slot moved to another node is found there, or is UNAVAILABLE for a moment."""
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
    redis_cluster: RedisCluster, stub: Stub, tenant: str, slot: int
) -> None:
    """Near the end of a slot's move, the node that has the keys answers reads (ASK).

    A write also names keys that may not exist. That node cannot know whether they will still
    arrive: if the slot does not move within the write's timeout, the write is UNAVAILABLE.
    """
    version = (await put(stub, key(tenant=tenant))).revision
    await asyncio.gather(*(get(stub, key(tenant=tenant)) for _ in range(20)))
    move_keys(redis_cluster, slot)
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


async def test_a_user_with_the_rights_of_the_page(
    redis_cluster: RedisCluster, settings: Settings, tenant: str, slot: int
) -> None:
    """The user of docs/operations.md suffices in a Cluster; calls amid a move need `asking`.

    `cluster|slots` is needed for what servers tell of all nodes.
    """
    more = ("+asking", "+cluster|slots")
    with User(redis_cluster.clients, settings.store_prefix, *more) as user:
        store = SecretStr(user.url(redis_cluster.url))
        limited = settings.model_copy(update={"store": store, "store_timeout": 0.5})
        storage = storage_of(limited)
        async with serving(limited) as stub:
            version = (await put(stub, key(tenant=tenant))).revision
            assert (await storage.inspection.refusals()) == {}
            assert (await storage.inspection.database_status()).version
            move_keys(redis_cluster, slot)
            try:
                assert (await get(stub, key(tenant=tenant))).entry.version == version
                user.take("asking")
                failure = await failure_of(get(stub, key(tenant=tenant)))
                assert failure.reason == "STORE_UNAVAILABLE"
            finally:
                redis_cluster.give(slot, 1)
                give_back(redis_cluster, slot)
        user.take("cluster|slots")
        assert not (await storage.inspection.database_status()).version
        redis_cluster.clients[2]("ACL", "SETUSER", user.name, "-xadd")
        assert (await storage.inspection.refusals()).keys() == {"XADD"}
        await storage.close()


async def test_a_write_waits_for_its_slot(
    redis_cluster: RedisCluster, settings: Settings, tenant: str, slot: int
) -> None:
    """A write that no node runs while its slot moves (TRYAGAIN) runs once the slot has arrived."""

    def refused() -> int:
        found = redis_cluster.clients[1]("INFO", "errorstats").get("errorstat_TRYAGAIN")
        return int(found["count"]) if found else 0

    async with serving(settings.model_copy(update={"store_timeout": 60.0})) as stub:
        version = (await put(stub, key(tenant=tenant))).revision
        move_keys(redis_cluster, slot)
        try:
            before = refused()
            writing = asyncio.create_task(put(stub, key(tenant=tenant), if_version=version))
            await until_async(lambda: writing.done() or refused() > before + 3)
            redis_cluster.give(slot, 1)
            assert (await writing).revision > version
        finally:
            redis_cluster.give(slot, 1)
            give_back(redis_cluster, slot)


async def test_a_node_that_lost_its_slots(
    redis_cluster: RedisCluster, stub: Stub, tenant: str, slot: int
) -> None:
    """If a node falls silent, other nodes report its slots, even if the URL names that node."""
    await asyncio.gather(*(is_alive(stub, key(tenant=each)) for each in TENANTS))
    redis_cluster.nodes[0].signal(signal.SIGSTOP)
    try:
        redis_cluster.give(slot, 1, told=(1, 2))
        failure = await failure_of(put(stub, key(tenant=tenant)))
        assert failure.reason == "STORE_UNAVAILABLE"
        assert (await put(stub, key(tenant=tenant))).revision
    finally:
        redis_cluster.nodes[0].signal(signal.SIGCONT)
        give_back(redis_cluster, slot)


def move_keys(cluster: RedisCluster, slot: int) -> None:
    """Begin to move a slot from the first node to the second one: every step but the last."""
    here, there, _ = cluster.clients
    there("CLUSTER", "SETSLOT", slot, "IMPORTING", here("CLUSTER", "MYID"))
    here("CLUSTER", "SETSLOT", slot, "MIGRATING", there("CLUSTER", "MYID"))
    names = here("CLUSTER", "GETKEYSINSLOT", slot, 100)
    here("MIGRATE", "127.0.0.1", cluster.nodes[1].port, "", 0, 5000, "KEYS", *names)


def give_back(cluster: RedisCluster, slot: int) -> None:
    """Move a slot from the second node back to the first one, without its keys."""

    def is_given() -> bool:
        for name in cluster.clients[1]("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            cluster.clients[1]("DEL", name)
        try:
            cluster.give(slot, 0)
        except redis.ResponseError as error:
            # A Put whose caller has given up may still be written: the slot has keys again.
            assert "hold keys" in str(error)  # noqa: PT017
            return False
        return True

    until(is_given)
