"""The environment of docs/from-plain-redis.md's code: a Redis, a store and agent management."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from relevo_client import AsyncContextClient
from relevo_server.server import Server
from support.pages import Name
from support.platform.moving import CLIENT, IMPORTS, PAGE, PLAIN, Run, config
from support.platform.plain import Agents, work_of
from support.redis.process import RedisProcess


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisProcess]:
    """A Redis for these tests only, as the keys and queues have the page's names."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def store_url(redis_process: RedisProcess) -> str:
    """The store shares a Redis with the old keys."""
    return redis_process.url


@pytest.fixture
async def redis(redis_process: RedisProcess) -> "AsyncIterator[Redis]":
    """The platform's Redis, emptied."""
    library: Any = Redis  # its types are only partly known
    async with library.from_url(redis_process.url, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def agents() -> Agents:
    """Agent management, with one agent."""
    agents = Agents()
    await agents.save("acme", "support", config("m-1"))
    return agents


@pytest.fixture
async def run(redis: "Redis", server: Server, agents: Agents) -> AsyncIterator[Run]:
    """Runs blocks of the page, and closes all that they opened at the end."""
    names = work_of(agents)
    names |= {"redis": redis, "STORE": server.address}
    names["REDIS"] = "redis://{host}:{port}".format(**redis.connection_pool.connection_kwargs)
    opened: list[AsyncContextClient] = []

    async def run(*blocks: Name, **given: Any) -> Any:
        ran = PAGE.run(IMPORTS, PLAIN, CLIENT, *blocks, **{**names, **given})
        opened.append(ran.contexts)
        return ran

    yield run
    for contexts in opened:
        await contexts.close()
