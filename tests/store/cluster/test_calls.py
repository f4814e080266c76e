"""The store on a real Redis Cluster of three nodes: no script touches two slots."""

import asyncio
from contextlib import ExitStack
from itertools import pairwise

from grpc import StatusCode
from relevo_server.server import Server
from relevo_server.settings import Settings
from store.cluster.tenants import TENANTS, node_of
from support.clients.calls import (
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
    seconds,
)
from support.clients.watching import Watch
from support.failures import failure_of
from support.redis.cluster import NODES, RedisCluster
from support.servers.serving import health_of, serving
from support.servers.settings import settings_on
from support.waiting import until_async


async def use(stub: Stub, tenant: str) -> None:
    """Make every kind of call for a tenant."""
    agent = key("a1", tenant=tenant, scope="agent_config")
    named = key(tenant=tenant)
    await put(stub, agent, context(llm_config={"model": "m1"}), if_absent=True)
    first = await put(stub, named, context(includes=[agent]), request_id="r")
    again = await put(stub, named, context(includes=[agent]), request_id="r")
    assert again.revision == first.revision
    second = await put(
        stub, named, context(user_id="u"), update_mask=masked("user_id"), if_version=first.revision
    )
    failure = await failure_of(put(stub, named, if_version=first.revision))
    assert failure.metadata["current_version"] == str(second.revision)
    answer = await get(stub, named, include_layers=True)
    assert answer.entry.version == second.revision
    assert [layer.key for layer in answer.layers] == [agent]
    ended = await invalidate(stub, named, key("c2", tenant=tenant))
    assert ended.invalidated_count == 1
    assert not await is_alive(stub, named)
    third = await put(stub, named, context(user_id=tenant), if_absent=True)
    assert third.revision > ended.revision > second.revision


async def test_every_call_works_on_every_node(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """All calls work for tenants on all nodes, and each node holds its tenants' entries."""
    await asyncio.gather(*(use(stub, tenant) for tenant in TENANTS))
    assert {node_of(redis_cluster, settings, tenant) for tenant in TENANTS} == set(range(NODES))
    for i, client in enumerate(redis_cluster.clients):
        names = [name for name in client.names(settings.store_prefix) if ":entry:" in name]
        held = {name.split(":")[-2] for name in names}
        assert held == {t for t in TENANTS if node_of(redis_cluster, settings, t) == i}


async def test_a_batch_over_all_nodes(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """One BatchGet returns the entries of tenants on different nodes, in order."""
    for tenant in TENANTS:
        await put(stub, key(tenant=tenant), context(user_id=tenant))
    nodes = [node_of(redis_cluster, settings, tenant) for tenant in TENANTS]
    assert any(a != b for a, b in pairwise(nodes))
    keys = [key(name, tenant=tenant) for tenant in TENANTS for name in ("c1", "none")]
    results = await batch_get(stub, *keys)
    assert [result.response.entry.context.user_id for result in results[::2]] == TENANTS
    assert {result.error.code for result in results[1::2]} == {StatusCode.NOT_FOUND.value[0]}


async def test_floors_are_the_tenants_own(stub: Stub) -> None:
    """Ending one tenant in the cluster spares all others, on its node and elsewhere."""
    for tenant in TENANTS:
        await put(stub, key(tenant=tenant))
    await invalidate_tenant(stub, TENANTS[0])
    results = await batch_get(stub, *(key(tenant=tenant) for tenant in TENANTS))
    assert [result.HasField("response") for result in results] == [False] + [True] * 29


async def test_every_script_stays_in_one_slot(redis_cluster: RedisCluster, stub: Stub) -> None:
    """A script touches only the keys that it is called with, and they share one slot.

    Redis itself refuses a call with keys of two slots, but not key names that a script builds for
    its own node: MONITOR shows every command of every script.
    """
    with ExitStack() as stack:
        monitors = [stack.enter_context(client.commands()) for client in redis_cluster.clients]
        for tenant in TENANTS[:10]:
            await use(stub, tenant)
            await invalidate_tenant(stub, tenant)
        scripts = 0
        for client, monitor in zip(redis_cluster.clients, monitors, strict=True):
            client("ECHO", "the end")
            declared: list[str] | None = None
            for heard in monitor.listen():
                words = heard["command"].split(" ")
                if words[:2] == ["ECHO", "the"]:
                    break
                if words[0] == "EVAL":  # a trial of rights, which comes now and then
                    declared = None
                if words[0] == "EVALSHA":
                    names = words[3 : 3 + int(words[2])]
                    assert len({redis_cluster.slot_of(name) for name in names}) == 1
                    declared = names
                    scripts += 1
                elif heard["client_type"] == "lua" and declared is not None:
                    assert words[1] in declared
    assert scripts > 10 * 10


async def test_health_of_a_server_on_a_cluster(
    redis_cluster: RedisCluster, settings: Settings, server: Server
) -> None:
    """The layout is recorded once in the cluster, and the server is SERVING."""

    async def serving() -> bool:
        return await health_of(server.address) == "SERVING"

    await until_async(serving)
    layouts = [client.names(settings.store_prefix) for client in redis_cluster.clients]
    assert sum(f"{settings.store_prefix}:layout" in names for names in layouts) == 1


async def test_watches_on_every_node(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """One stream gets the current value of keys on all nodes, and then every change, in order."""
    assert {node_of(redis_cluster, settings, tenant) for tenant in TENANTS} == set(range(NODES))
    for tenant in TENANTS:
        async with Watch(stub) as watch:
            named = key(tenant=tenant)
            answer = await watch.answer(watch.subscribe(named))
            assert not answer.invalidated.is_changed
            for name in ("u", "v"):
                version = (await put(stub, named, context(user_id=name))).revision
                news = await watch.news()
                assert (news.entry.version, news.entry.context.user_id) == (version, name)
                await watch.progress(version)
            ended = await invalidate(stub, named)
            assert (await watch.news()).invalidated.revision == ended.revision


async def test_more_watches_than_connections(redis_cluster: RedisCluster) -> None:
    """While watches wait for every partition's log, connections remain for calls."""
    settings = settings_on(redis_cluster.url, store_connections=2)
    async with serving(settings) as stub, Watch(stub) as watch:
        for tenant in TENANTS:
            await watch.answer(watch.subscribe(key(tenant=tenant)))
        written = await asyncio.gather(*(put(stub, key(tenant=tenant)) for tenant in TENANTS * 5))
        versions = {answer.revision for answer in written}
        told = {(await watch.news()).entry.version for _ in TENANTS}
        assert told <= versions


async def test_touch(redis_cluster: RedisCluster, settings: Settings, stub: Stub) -> None:
    """A Touch renews the time to live of an entry, on the node that holds it."""
    for tenant in TENANTS[:10]:
        await is_touched(redis_cluster, settings, stub, tenant)


async def is_touched(cluster: RedisCluster, settings: Settings, stub: Stub, tenant: str) -> None:
    """Check that an entry whose time is nearly over gets its full time again."""
    named = key(tenant=tenant)
    await put(stub, named, ttl=seconds(100))
    node = cluster.clients[node_of(cluster, settings, tenant)]
    names = node.names(settings.store_prefix)
    (name,) = (each for each in names if f":entry:conversation:{tenant}:" in each)
    node("EXPIRE", name, 50)
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(named))
        watch.touch(named)
        await until_async(lambda: node("TTL", name) > 90)
