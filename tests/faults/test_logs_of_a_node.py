"""The one connection on which a server reads its logs, if Redis or the connection fails."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextvars import Context

import pytest
from grpc import StatusCode
from relevo_server import deadline
from relevo_server.errors import StoreError
from relevo_server.keys import Key, partition_of
from relevo_server.storage import Storage, open_storage
from relevo_server.storage.interface import Write
from support.clients.calls import TIMEOUT
from support.logs import events_of
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.waiting import until_async

PARTITIONS = 8
LATER = 3600.0
"""Seconds that no test takes: a wait that ends was ended by what the test does."""


@pytest.fixture
async def storage(redis: RedisProcess) -> AsyncIterator[Storage]:
    """A storage that waits long for Redis."""
    storage = open_storage(redis.url, partitions=PARTITIONS, timeout=TIMEOUT)
    await storage.check()
    yield storage
    await storage.close()


def key_in(partition: int) -> Key:
    """A key in this partition."""
    tenants = (f"tenant-{i}" for i in range(1000))
    return Key(
        "conversation",
        next(each for each in tenants if partition_of(each, PARTITIONS) == partition),
        "c1",
    )


async def write(storage: Storage, partition: int) -> int:
    """Write an entry of a partition. Returns its version."""
    return (await storage.write(Write(key_in(partition), b"", 60_000))).version


async def waiting(storage: Storage, *partitions: int) -> list[asyncio.Task[None]]:
    """Waits for the next event of these partitions; each has one already."""
    waits: list[asyncio.Task[None]] = []
    for partition in partitions:
        position = await write(storage, partition)
        assert (await storage.tail(partition, position, 1)).gap is None
        waits.append(asyncio.create_task(storage.wait(partition, position, LATER)))
    await asyncio.sleep(0)
    return waits


def tracking(client: RedisClient) -> list[str]:
    """The ids of the connections that Redis tells of changes."""
    return [each["id"] for each in client("CLIENT LIST") if "t" in each["flags"]]


async def failures(calls: Sequence[asyncio.Task[None]]) -> list[StatusCode]:
    """The errors of calls."""
    ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), TIMEOUT)
    return [each.code for each in ends if isinstance(each, StoreError)]


async def test_a_connection_that_is_killed(storage: Storage, client: RedisClient) -> None:
    """All who wait learn at once that the connection is lost. The next read opens another one."""
    waits = await waiting(storage, *range(PARTITIONS))
    (lost,) = tracking(client)
    client("CLIENT", "KILL", "ID", lost)
    assert await failures(waits) == [StatusCode.UNAVAILABLE] * PARTITIONS
    (again,) = await waiting(storage, 3)
    assert tracking(client) != [lost]
    await write(storage, 3)
    await asyncio.wait_for(again, TIMEOUT)


@pytest.mark.parametrize("loss", ["FLUSHALL", "DEL"])
async def test_a_log_that_is_lost(storage: Storage, client: RedisClient, loss: str) -> None:
    """Who waits for a log learns at once that it is gone; no other does if only one is."""
    waits = await waiting(storage, 1, 2)
    client(*(("FLUSHALL",) if loss == "FLUSHALL" else ("DEL", "{relevo:1}:log")))
    await asyncio.wait_for(waits[0], TIMEOUT)
    if loss == "FLUSHALL":
        await asyncio.wait_for(waits[1], TIMEOUT)
    else:
        await storage.tail(1, None, 1)
        assert not waits[1].done()
        waits[1].cancel()


async def test_a_log_that_cannot_be_read(storage: Storage, client: RedisClient) -> None:
    """S8: a partition whose log is no log fails alone. The others are read, and told of events."""
    broken, whole = await waiting(storage, 1, 2)
    client("SET", "{relevo:1}:log", "no stream")
    await asyncio.wait_for(broken, TIMEOUT)
    with pytest.raises(StoreError):
        await storage.tail(1, 1, 1)
    assert not whole.done()
    await write(storage, 2)
    await asyncio.wait_for(whole, TIMEOUT)


async def test_one_caller_that_has_no_time(
    storage: Storage, redis: RedisProcess, client: RedisClient
) -> None:
    """A deadline or a cancellation ends one read. The others go on, on the same connection."""
    (wait,) = await waiting(storage, 1)
    before = tracking(client)

    async def hurried() -> None:
        deadline.set_remaining(0.01)
        await storage.tail(2, None, 1)

    redis.signal(signal.SIGSTOP)
    try:
        late = asyncio.create_task(hurried(), context=Context())
        cancelled, patient = (asyncio.create_task(storage.tail(each, None, 1)) for each in (3, 4))
        with pytest.raises(StoreError):
            await late
        cancelled.cancel()
    finally:
        redis.signal(signal.SIGCONT)
    await asyncio.wait_for(patient, TIMEOUT)
    assert tracking(client) == before
    assert not wait.done()
    await write(storage, 1)
    await asyncio.wait_for(wait, TIMEOUT)


async def test_a_redis_that_stands_still(redis: RedisProcess, client: RedisClient) -> None:
    """If Redis does not answer in time, all reads fail, and so does every wait. Then all go on."""
    storage = open_storage(redis.url, partitions=PARTITIONS, timeout=0.5)
    await until_async(lambda: is_written(storage))
    waits = await waiting(storage, 1, 2)
    redis.signal(signal.SIGSTOP)
    try:
        reads = [asyncio.create_task(reading(storage, each)) for each in range(PARTITIONS)]
        assert await failures(reads) == [StatusCode.UNAVAILABLE] * PARTITIONS
        assert await failures(waits) == [StatusCode.UNAVAILABLE] * 2
    finally:
        redis.signal(signal.SIGCONT)
    await until_async(lambda: is_written(storage))
    (wait,) = await waiting(storage, 1)
    await write(storage, 1)
    await asyncio.wait_for(wait, TIMEOUT)
    assert len(tracking(client)) == 1
    await storage.close()


async def reading(storage: Storage, partition: int) -> None:
    """Read a log."""
    await storage.tail(partition, None, 1)


async def is_written(storage: Storage) -> bool:
    """Whether entries can be written and logs be read, on a busy machine too."""
    try:
        await write(storage, 1)
        await storage.tail(1, None, 1)
    except StoreError:
        return False
    return True


async def test_a_redis_that_is_gone(storage: Storage, redis: RedisProcess) -> None:
    """All reads learn from one failed attempt to connect. A Redis that comes back is found."""
    waits = await waiting(storage, 1)
    redis.stop()
    assert await failures(waits) == [StatusCode.UNAVAILABLE]
    reads = [asyncio.create_task(reading(storage, each)) for each in range(PARTITIONS)]
    assert await failures(reads) == [StatusCode.UNAVAILABLE] * PARTITIONS
    redis.start()
    (wait,) = await waiting(storage, 1)
    await write(storage, 1)
    await asyncio.wait_for(wait, TIMEOUT)


@pytest.mark.parametrize("redis", [("--rename-command", "CLIENT", "")], indirect=True)
async def test_a_redis_that_does_not_tell(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Without CLIENT, as behind some proxies, logs are read, and waits are UNAVAILABLE at once.

    So followers poll. The log says why.
    """
    storage = open_storage(redis.url, partitions=PARTITIONS)
    await storage.check()
    waits = await waiting(storage, 1, 2)
    assert await failures(waits) == [StatusCode.UNAVAILABLE] * 2
    version = await write(storage, 1)
    assert (await storage.tail(1, None, 1)).revision == version
    told = [each["command"] for each in events_of(caplog) if each["event"] == "store.untracked"]
    assert told == ["CLIENT|TRACKING"]
    await storage.close()
