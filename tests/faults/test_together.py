"""Commands that come in one turn of the event loop travel together, and fail apart."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from grpc import StatusCode
from relevo_server.deadline import set_remaining
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.storage import Storage, open_storage
from relevo_server.storage.interface import Limits, Read, Write
from support.network.proxy import Proxy
from support.redis.process import RedisProcess
from support.waiting import until_async

KEYS = [Key("conversation", "acme", f"c{i}") for i in range(40)]
BULKY = Key("conversation", "acme", "bulky")
TIMEOUT = 20.0
LONG = 3600.0


@pytest.fixture
def way(redis: RedisProcess) -> Any:
    """A proxy in front of Redis that can delay the connections that carried the bulky entry."""
    with Proxy(redis.port, delayed=b"bulky") as proxy:
        yield proxy


@pytest.fixture
async def storage(way: Proxy) -> AsyncIterator[Storage]:
    """A storage that has one connection, and entries that identify themselves."""
    storage = open_storage(f"redis://127.0.0.1:{way.port}", partitions=4, timeout=TIMEOUT)
    for each in KEYS:
        await storage.write(Write(each, each.id.encode(), 60_000))
    assert way.accepted == 1
    yield storage
    await storage.close()


def require_own(keys: list[Key], reads: list[Read]) -> None:
    """Check that each read has its own entry."""
    found = [each.context for read in reads for each in read.entries if each]
    assert found == [each.id.encode() for each in keys]


async def test_what_comes_together_takes_one_connection(storage: Storage, way: Proxy) -> None:
    """Commands of one turn share connections, at most sixteen each, and get their own answers."""
    require_own(KEYS[:16], await asyncio.gather(*(storage.read([each]) for each in KEYS[:16])))
    assert way.accepted == 1
    require_own(KEYS, await asyncio.gather(*(storage.read([each]) for each in KEYS)))
    assert way.accepted == 3


async def begun(way: Proxy, *reads: Coroutine[Any, Any, Read]) -> list[asyncio.Task[Read]]:
    """Begin reads in one turn, and wait until Redis has them. Their answers are held."""
    way.to_client.hold()
    before = way.to_server.bytes
    tasks = [asyncio.create_task(each) for each in reads]
    await until_async(lambda: way.to_server.bytes > before)
    return tasks


async def test_a_cancelled_command_concerns_no_other(storage: Storage, way: Proxy) -> None:
    """The answer of a cancelled command is dropped; the others get theirs on this connection."""
    tasks = await begun(way, *(storage.read([each]) for each in KEYS[:8]))
    for task in tasks[::2]:
        task.cancel()
    way.to_client.let_go()
    require_own(KEYS[1:8:2], await asyncio.gather(*tasks[1::2]))
    require_own(KEYS[:1], [await storage.read(KEYS[:1])])
    assert all(task.cancelled() for task in tasks[::2])
    assert way.accepted == 1


async def test_a_late_command_concerns_no_other(storage: Storage, way: Proxy) -> None:
    """A call whose own time is over ends alone: the others have theirs, and this connection."""

    async def in_little_time(key: Key) -> Read:
        set_remaining(0.1)
        return await storage.read([key])

    *late, timely = await begun(
        way, *(in_little_time(each) for each in KEYS[:3]), storage.read([KEYS[3]])
    )
    for task in late:
        with pytest.raises(StoreError) as caught:
            await task
        assert caught.value.code is StatusCode.UNAVAILABLE
    way.to_client.let_go()
    require_own([KEYS[3]], [await timely])
    require_own(KEYS[:1], [await storage.read(KEYS[:1])])
    assert way.accepted == 1


async def test_a_connection_that_owes_nobody_an_answer(way: Proxy) -> None:
    """If all commands of a connection are cancelled, later ones do not wait for its answers."""
    url = f"redis://127.0.0.1:{way.port}"
    storage = open_storage(url, partitions=4, timeout=TIMEOUT, max_connections=1)
    await storage.write(Write(KEYS[0], KEYS[0].id.encode(), 60_000))
    way.to_client.delay = LONG
    before = way.to_server.bytes
    tasks = [asyncio.create_task(storage.read([BULKY])) for _ in range(3)]
    await until_async(lambda: way.to_server.bytes > before)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    require_own(KEYS[:1], [await storage.read(KEYS[:1])])
    assert way.accepted == 2
    await storage.close()


async def test_a_lost_connection_fails_its_commands(storage: Storage, way: Proxy) -> None:
    """All that wait on a connection that breaks end with UNAVAILABLE, and later ones do not."""
    tasks = await begun(way, *(storage.read([each]) for each in KEYS[:3]))
    way.cut()
    for task in tasks:
        with pytest.raises(StoreError) as caught:
            await task
        assert caught.value.code is StatusCode.UNAVAILABLE
    way.to_client.let_go()
    require_own(KEYS[:1], [await storage.read(KEYS[:1])])


@pytest.mark.parametrize("what", ["an answer", "a request"])
async def test_what_may_be_large_delays_no_other(storage: Storage, way: Proxy, what: str) -> None:
    """No command waits behind one whose answer may be large, or that is large itself."""
    way.to_client.delay = LONG
    first = asyncio.create_task(storage.read(KEYS[:1]))
    delayed = asyncio.create_task(bulky(storage, what))
    last = asyncio.create_task(storage.read(KEYS[1:2]))
    require_own(KEYS[:2], [await first, await last])
    assert not delayed.done()
    delayed.cancel()
    await asyncio.wait([delayed])


async def bulky(storage: Storage, what: str) -> None:
    """A command whose answer may be large, or that is large itself."""
    if what == "an answer":
        await storage.read([BULKY], limits=Limits(1 << 20, 1 << 20))
    else:
        await storage.write(Write(BULKY, b"x" * (20 << 10), 60_000))
