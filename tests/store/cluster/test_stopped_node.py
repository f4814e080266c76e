"""A Redis Cluster with a stopped node."""

import asyncio
import signal

from grpc import StatusCode, aio
from relevo.v1.store_pb2 import GetRequest
from relevo_server.settings import Settings
from store.cluster.tenants import TENANTS, node_of
from support.clients.calls import (
    Stub,
    is_alive,
    key,
    put,
)
from support.failures import failure_of
from support.redis.cluster import RedisCluster
from support.waiting import until_async


async def test_a_node_that_stopped(
    redis_cluster: RedisCluster, settings: Settings, stub: Stub
) -> None:
    """A stopped node's tenants are UNAVAILABLE in time; the tenants of other nodes are served."""
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
