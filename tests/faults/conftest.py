"""Fixtures of the tests that break things: a Redis of their own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.calls import Stub
from support.proxy import Proxy
from support.redis_client import RedisClient
from support.redis_process import RedisProcess
from support.serving import stub_of


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis server that the test may stop, fill and kill."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def client(redis: RedisProcess) -> Iterator[RedisClient]:
    """A client of the test's own."""
    with redis.client() as client:
        yield client


@pytest.fixture
def way(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy on the way to that Redis."""
    with Proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
def store_url(redis: RedisProcess) -> str:
    """The server talks to Redis itself, unless a test puts the proxy in between."""
    return redis.url


@pytest.fixture
def settings(store_url: str) -> Settings:
    """A server that looks at its store often."""
    return Settings(
        listen="127.0.0.1:0", store=SecretStr(store_url), health_interval=0.05, grace=0.5
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    """A server within this process."""
    async with Server(settings) as running:
        yield running


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """Its stub."""
    async with stub_of(server.address) as stub:
        yield stub
