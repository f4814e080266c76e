"""Tenants, spread over all nodes of a cluster."""

from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from support.redis.cluster import RedisCluster

TENANTS = [f"tenant-{i}" for i in range(30)]


def node_of(cluster: RedisCluster, settings: Settings, tenant: str) -> int:
    """The node that holds a tenant's keys."""
    partition = partition_of(tenant, settings.partitions)
    return cluster.node_of(f"{{{settings.store_prefix}:{partition}}}")
