"""Encrypted values in a Redis Cluster: data keys are on the nodes of their tenants."""

from pathlib import Path

from relevo.admin.v1.admin_pb2 import RewrapKeysRequest, ShredTenantRequest
from relevo_server.server import Server
from relevo_server.settings import Settings
from store.cluster.tenants import TENANTS, node_of
from support.clients.admin import admin_of
from support.clients.calls import TIMEOUT, context, get, is_alive, key, put
from support.redis.cluster import RedisCluster
from support.servers.key_rings import encrypting, everything, write_ring
from support.servers.serving import stub_of

MARK = "s3cret-value"


async def test_every_node(redis_cluster: RedisCluster, settings: Settings, tmp_path: Path) -> None:
    """Tenants of all nodes are encrypted, wrapped by a new key, and shredded."""
    ring = tmp_path / "ring.toml"
    write_ring(ring, "old")
    settings = encrypting(settings, ring).model_copy(update={"partitions": 8})
    assert {node_of(redis_cluster, settings, tenant) for tenant in TENANTS} == {0, 1, 2}
    async with (
        Server(settings) as server,
        stub_of(server.address) as stub,
        admin_of(server.address) as admin,
    ):
        for tenant in TENANTS:
            await put(stub, key(tenant=tenant), context(user_id=MARK))
        held = b"".join(everything(node, settings.store_prefix) for node in redis_cluster.clients)
        assert MARK.encode() not in held
        write_ring(ring, "old", "new", primary="new")
        rewrapped = 0
        for partition in range(settings.partitions):
            request = RewrapKeysRequest(partition=partition)
            rewrapped += (await admin.RewrapKeys(request, timeout=TIMEOUT)).rewrapped_count
        assert rewrapped == len(TENANTS)
        for tenant in TENANTS:
            assert (await get(stub, key(tenant=tenant))).entry.context.user_id == MARK
            shredded = ShredTenantRequest(tenant_id=tenant)
            answer = await admin.ShredTenant(shredded, timeout=TIMEOUT)
            assert (answer.key_deleted, answer.erased_count) == (True, 1)
            assert not await is_alive(stub, key(tenant=tenant))
