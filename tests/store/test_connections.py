"""The connections of a server to Redis: a bound for each Redis server, whatever is followed."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count

import pytest
import uvloop
from pydantic import SecretStr
from relevo.v1.store_pb2 import PutRequest
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from relevo_server.storage.redis.connection import Server
from relevo_server.storage.redis.pool import Pool
from support.clients.calls import Stub, context, key
from support.clients.watching import Watch
from support.redis.client import RedisClient
from support.redis.cluster import NODES, RedisCluster
from support.redis.process import RedisProcess
from support.servers.serving import serving
from support.waiting import PATIENCE

CONNECTIONS = 3
"""The bound of connections for commands."""
SECONDS = 100
"""The deadline of many writes that come at once: a busy machine takes half a minute for them."""


@pytest.fixture(params=["single", "cluster"])
def nodes(request: pytest.FixtureRequest) -> Iterator[tuple[str, Sequence[RedisClient]]]:
    """The URL of a store of the test's own, and a client of each of its servers."""
    with ExitStack() as stack:
        if request.param == "single":
            process = stack.enter_context(RedisProcess())
            yield process.url, [stack.enter_context(process.client())]
        else:
            cluster = stack.enter_context(RedisCluster())
            yield cluster.url, cluster.clients


def tenants_of(partitions: int) -> list[str]:
    """A tenant of each partition."""
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(partition_of(f"tenant-{number}", partitions), f"tenant-{number}")
        if len(found) == partitions:
            return list(found.values())
    raise AssertionError


def connections(client: RedisClient) -> list[str]:
    """The flags of the connections that clients have to a Redis server, but for this one."""
    own = client("CLIENT ID")
    return [each["flags"] for each in client("CLIENT LIST") if int(each["id"]) != own]


async def watch_all(watch: Watch, tenants: Sequence[str]) -> None:
    """Subscribe to a key of each tenant, and wait for all answers."""
    waiting = {watch.subscribe(key(tenant=each)) for each in tenants}
    while waiting:
        waiting.discard((await watch.news()).answers)


async def write(stub: Stub, tenant: str) -> None:
    """Put an entry of a tenant."""
    request = PutRequest(key=key(tenant=tenant), context=context(user_id="u"))
    await stub.Put(request, timeout=SECONDS)


@pytest.mark.parametrize("partitions", [64, 512])
async def test_connections_of_a_server(
    nodes: tuple[str, Sequence[RedisClient]], partitions: int
) -> None:
    """A server that follows all partitions has one connection for them to each Redis server.

    For commands it has as many as allowed at most, also if many come at once.
    """
    url, clients = nodes
    settings = Settings(
        listen="127.0.0.1:0",
        store=SecretStr(url),
        partitions=partitions,
        store_connections=CONNECTIONS,
        store_timeout=SECONDS,
        grace=0.5,
    )
    tenants = tenants_of(partitions)
    assert len(clients) in (1, NODES)
    async with serving(settings) as stub, Watch(stub) as watch:
        await watch_all(watch, tenants)
        awaited = {key(tenant=each).tenant_id for each in tenants}
        async with asyncio.TaskGroup() as writes:
            for each in tenants:
                writes.create_task(write(stub, each))
            while awaited:
                awaited.discard((await watch.news()).entry.key.tenant_id)
        for client in clients:
            flags = connections(client)
            assert 1 <= len(flags) <= CONNECTIONS + 1
            assert sum("t" in each for each in flags) == 1


def test_a_command_beside_one_that_is_late(redis_url: str) -> None:
    """A command whose deadline is now expires, and another one of its turn is answered.

    So it is on the event loop of `relevo serve`, which has no timers for less than a millisecond.
    """

    async def send() -> list[object]:
        loop = asyncio.get_running_loop()
        pool = Pool(Server(redis_url).open, timeout=PATIENCE, max_connections=1)
        late = pool.send(("PING",), loop.time() + 0.0001)
        other = pool.send(("PING",), loop.time() + PATIENCE)
        try:
            return list(await asyncio.gather(late, other, return_exceptions=True))
        finally:
            await pool.aclose()

    expired, answer = uvloop.run(send())
    assert isinstance(expired, OSError)
    assert answer == b"PONG"
