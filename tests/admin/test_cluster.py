"""The Admin service on a Redis Cluster of three nodes: its questions reach the right node."""

import pytest
from relevo.admin.v1.admin_pb2 import GetStatusRequest, ListPartitionsRequest
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from support.clients.admin import AdminStub, all_keys
from support.clients.calls import TIMEOUT, Stub, key, put
from support.redis.cluster import NODES, RedisCluster
from support.servers.settings import settings_on

TENANTS = [f"tenant-{i}" for i in range(30)]


@pytest.fixture
def settings(redis_cluster: RedisCluster) -> Settings:
    """Settings of a server that keeps its entries in the cluster."""
    return settings_on(redis_cluster.url)


async def test_status(admin: AdminStub) -> None:
    """The status is of all masters: their memory together, one version, one policy."""
    store = (await admin.GetStatus(GetStatusRequest(), timeout=TIMEOUT)).store
    assert (store.available, store.kind) == (True, "redis+cluster")
    assert store.version.partition(" ")[0] in ("redis", "valkey")
    assert "," not in store.version
    assert store.used_bytes > NODES * 500_000
    assert store.eviction_policy == "noeviction"
    assert abs(store.clock_offset.ToMilliseconds()) < 5000


async def test_partitions_and_keys(
    admin: AdminStub, stub: Stub, settings: Settings, redis_cluster: RedisCluster
) -> None:
    """Tenants on every node have their keys listed, and their partitions' logs counted."""
    expected: dict[int, int] = {}
    nodes: set[int] = set()
    for tenant in TENANTS:
        number = partition_of(tenant, settings.partitions)
        nodes.add(redis_cluster.node_of(f"{{{settings.store_prefix}:{number}}}"))
        for i in range(3):
            await put(stub, key(f"c{i}", tenant=tenant))
        expected[number] = expected.get(number, 0) + 3
    assert len(nodes) == NODES
    for tenant in TENANTS:
        found = await all_keys(admin, tenant, page_size=2)
        assert sorted(each.key.id for each in found) == ["c0", "c1", "c2"]
        assert {each.key.tenant_id for each in found} == {tenant}
    partitions = (await admin.ListPartitions(ListPartitionsRequest(), timeout=TIMEOUT)).partitions
    assert {each.number: each.log_length for each in partitions if each.log_length} == expected
