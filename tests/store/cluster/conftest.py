"""A store in a Redis Cluster."""

import uuid

import pytest
from pydantic import SecretStr
from relevo_server.settings import Settings
from support.redis.cluster import RedisCluster


@pytest.fixture
def settings(redis_cluster: RedisCluster) -> Settings:
    """Settings of a server that keeps its entries in the cluster."""
    prefix = f"test-{uuid.uuid4().hex}"
    return Settings(listen="127.0.0.1:0", store=SecretStr(redis_cluster.url), store_prefix=prefix)
