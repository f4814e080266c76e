"""Fixtures of the tests that break things, with a Redis for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from relevo_client import AsyncContextClient, ExecutionContext
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import Stub
from support.clients.readers import KEY, OPTIONS, Reader
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.serving import stub_of


@pytest.fixture
def redis(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """A Redis server that the test may stop, fill and kill, with the test's own options."""
    with RedisProcess(*getattr(request, "param", ())) as process:
        yield process


@pytest.fixture
def client(redis: RedisProcess) -> Iterator[RedisClient]:
    """The test's own Redis client."""
    with redis.client() as client:
        yield client


@pytest.fixture
def way(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy in front of that Redis."""
    with Proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
def store_url(redis: RedisProcess) -> str:
    """The server connects to Redis directly, unless a test inserts the proxy."""
    return redis.url


@pytest.fixture
def settings(store_url: str) -> Settings:
    """Settings of a server that checks its store often."""
    return Settings(
        listen="127.0.0.1:0", store=SecretStr(store_url), health_interval=0.05, grace=0.5
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    """A server in this process."""
    async with Server(settings) as running:
        yield running


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """Its stub."""
    async with stub_of(server.address) as stub:
        yield stub


@pytest.fixture
def flags() -> tuple[str, ...]:
    """Further flags of the server; a test file may override them."""
    return ()


@pytest.fixture
def process(redis: RedisProcess, port: int, flags: tuple[str, ...]) -> Iterator[RelevoProcess]:
    """A server process."""
    listen = ("--listen", f"127.0.0.1:{port}")
    with relevo_serve("--store", redis.url, *listen, *flags) as process:
        yield process


@pytest.fixture
def path(process: RelevoProcess, port: int) -> Iterator[Proxy]:
    """A proxy between the client and the server."""
    assert process.address
    with Proxy(port) as proxy:
        yield proxy


@pytest.fixture
async def owner(process: RelevoProcess) -> AsyncIterator[AsyncContextClient]:
    """A client with a direct connection to the server, which changes entries."""
    async with AsyncContextClient(process.address, timeout=10) as owner:
        await owner.put(KEY, ExecutionContext(user_id="before"))
        yield owner


@pytest.fixture
async def reader(path: Proxy, owner: AsyncContextClient) -> AsyncIterator[Reader]:
    """A client that reads through the proxy; its cache has the entry."""
    del owner  # it has put the entry
    async with AsyncContextClient(f"127.0.0.1:{path.port}", timeout=10, cache=OPTIONS) as client:
        reader = Reader(client)
        await reader.until_it_sees("before")
        yield reader
