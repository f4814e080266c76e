"""The server's cache if Redis is stopped, or loses its data."""

import asyncio
import signal
import time
from collections.abc import Awaitable

import pytest
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import Consistency
from relevo_server.settings import Settings
from support.clients.calls import Stub, get, key, put
from support.failures import failure_of
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.waiting import until_async

CACHED = Consistency.CONSISTENCY_CACHED
STALENESS = 2.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A staleness bound that leaves time for several calls."""
    return settings.model_copy(
        update={"cache_max_staleness": STALENESS, "store_timeout": 4.0, "watch_heartbeat": 0.1}
    )


def calls_of(client: RedisClient, command: str) -> int:
    """How often Redis has run a command, including in scripts."""
    found = client("INFO", "commandstats").get(f"cmdstat_{command}")
    return int(found["calls"]) if found else 0


def reads(client: RedisClient) -> int:
    """The number of live entries that Redis has returned, by the reads of their TTLs."""
    return calls_of(client, "pttl")


async def outcome(call: Awaitable[object]) -> StatusCode:
    """The result or the error of a call."""
    try:
        await call
    except aio.AioRpcError as error:
        return error.code()
    return StatusCode.OK


async def until_at_hand(stub: Stub, client: RedisClient) -> None:
    """Wait until a CACHED Get reads nothing from Redis."""

    async def is_at_hand() -> bool:
        before = reads(client)
        await get(stub, key(), consistency=CACHED)
        return reads(client) == before

    await until_async(is_at_hand)


async def test_redis_stands_still(stub: Stub, redis: RedisProcess, client: RedisClient) -> None:
    """While Redis is stopped, memory answers CACHED Gets up to the bound, and STRONG ones fail."""
    version = (await put(stub, key())).revision
    await until_at_hand(stub, client)
    redis.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    answer = await get(stub, key(), consistency=CACHED, min_revision=version)
    assert answer.entry.version == version
    strong = asyncio.create_task(failure_of(get(stub, key())))

    async def is_over() -> bool:
        sent = time.monotonic()
        end = await outcome(get(stub, key(), consistency=CACHED))
        assert end is StatusCode.UNAVAILABLE or sent - stopped <= STALENESS
        return end is StatusCode.UNAVAILABLE

    async def is_back() -> bool:
        return await outcome(get(stub, key())) is StatusCode.OK

    await until_async(is_over, within=20)
    assert (await strong).reason == "STORE_UNAVAILABLE"
    redis.signal(signal.SIGCONT)
    await until_async(is_back)
    await until_at_hand(stub, client)


async def test_redis_is_flushed(stub: Stub, client: RedisClient) -> None:
    """Entries that Redis has lost soon leave the cache, although no event reports it."""
    await put(stub, key())
    await until_at_hand(stub, client)
    client("FLUSHALL")

    async def is_gone() -> bool:
        return await outcome(get(stub, key(), consistency=CACHED)) is StatusCode.NOT_FOUND

    await until_async(is_gone)
    version = (await put(stub, key())).revision
    await until_at_hand(stub, client)
    assert (await get(stub, key(), consistency=CACHED)).entry.version == version


async def test_a_log_that_is_lost(stub: Stub, client: RedisClient) -> None:
    """If only the log is lost, memory answers nothing until it is read again as of the new log."""
    await put(stub, key())
    await until_at_hand(stub, client)
    client("DEL", *(name for name in client.names("relevo") if name.endswith(":log")))

    async def is_asked() -> bool:
        before = reads(client)
        await get(stub, key(), consistency=CACHED)
        return reads(client) > before

    await until_async(is_asked)
    # Polls go on at their pace: some for each check of health, which tries SCAN once.
    checks, polls = calls_of(client, "scan"), calls_of(client, "xrange")
    await until_async(lambda: calls_of(client, "scan") >= checks + 3)
    assert calls_of(client, "xrange") - polls < 50
    await until_at_hand(stub, client)
    version = (await put(stub, key())).revision
    await until_at_hand(stub, client)
    assert (await get(stub, key(), consistency=CACHED)).entry.version == version
