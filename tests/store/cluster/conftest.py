"""A store in a Redis Cluster."""

import pytest
from relevo_server.settings import Settings
from support.redis.cluster import RedisCluster
from support.servers.settings import settings_on


@pytest.fixture
def settings(redis_cluster: RedisCluster) -> Settings:
    """Settings of a server that keeps its entries in the cluster, and notices a silent node."""
    return settings_on(redis_cluster.url, store_timeout=1.0)
