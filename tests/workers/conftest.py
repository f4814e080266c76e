"""Fixtures of the tests of workers."""

from collections.abc import Iterator

import pytest
from support.network.proxy import Proxy
from support.redis.process import RedisProcess


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisProcess]:
    """A Redis of the module's own."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def way(own_redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy in front of that Redis."""
    with Proxy(own_redis.port) as proxy:
        yield proxy
