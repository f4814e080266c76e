"""Quotas in a store that is spread over the nodes of a Redis Cluster."""

import pytest
from relevo_server.keys import partition_of
from relevo_server.quotas import Quotas
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.inspection import Held
from support.clients.calls import Stub, invalidate_tenant, key, put
from support.contexts import of_size
from support.failures import failure_of
from support.redis.cluster import RedisCluster
from support.servers.settings import settings_on

TENANTS = [f"tenant-{i}" for i in range(12)]


@pytest.fixture
def settings(redis_cluster: RedisCluster) -> Settings:
    """Settings of a server that keeps its entries in the cluster, two of each tenant."""
    quotas = Quotas.model_validate({"default": {"entries": 2}})
    return settings_on(redis_cluster.url, quotas=quotas)


async def test_a_recount_finds_the_entries_of_all_nodes(
    storage: Storage, storage_stub: Stub, settings: Settings
) -> None:
    """Each tenant's entries are counted, whichever node has them, and dead ones no more."""
    assert len({partition_of(each, settings.partitions) for each in TENANTS}) > 6
    for tenant in TENANTS:
        for i in range(2):
            await put(storage_stub, key(f"c{i}", tenant=tenant), of_size(100))
        failure = await failure_of(put(storage_stub, key("c2", tenant=tenant)))
        assert failure.metadata == {"tenant_id": tenant, "quota": "entries", "limit": "2"}
    for tenant in TENANTS[::2]:
        await invalidate_tenant(storage_stub, tenant)
    await storage.inspection.recount(storage.limits_of, 0.001)
    for i, tenant in enumerate(TENANTS):
        expected = Held(2, 200) if i % 2 else Held(0, 0)
        assert await storage.inspection.held(tenant) == expected
