"""Fixtures that tests of several kinds share."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from grpc import aio
from relevo.v1 import store_pb2_grpc
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.redis_process import RedisProcess, describe


def pytest_report_header() -> str:
    """Say which Redis it is."""
    return f"redis: {describe()}"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis: of RELEVO_TEST_REDIS, else one that is started and stopped here."""
    given = os.environ.get("RELEVO_TEST_REDIS")
    if given:
        yield given
    else:
        with RedisProcess() as process:
            yield process.url


@pytest.fixture(params=["memory", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of each backend in turn."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
def settings(store_url: str) -> Settings:
    """Settings of a server whose keys in Redis are the test's own."""
    return Settings(
        listen="127.0.0.1:0", store=store_url, store_prefix=f"test-{uuid.uuid4().hex}", grace=0.5
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    """A server within this process, on a real port."""
    async with Server(settings) as running:
        yield running


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[store_pb2_grpc.ContextStoreAsyncStub]:
    """The generated stub on a real channel to the server."""
    async with aio.insecure_channel(server.address) as channel:
        yield store_pb2_grpc.ContextStoreStub(channel)
