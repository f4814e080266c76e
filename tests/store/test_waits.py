"""Waits for the next event of a log, on each backend."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from relevo_server.keys import Key, partition_of
from relevo_server.server import storage_of
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.interface import Write
from support.clients.calls import TIMEOUT

LATER = 3600.0
"""Seconds that no test takes: a wait that ends was ended by an event."""


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    """The backend."""
    storage = storage_of(settings)
    await storage.check()
    yield storage
    await storage.close()


def key_in(storage: Storage, partition: int) -> Key:
    """A key in this partition."""
    tenants = (f"tenant-{i}" for i in range(10_000))
    found = (each for each in tenants if partition_of(each, storage.partitions) == partition)
    return Key("conversation", next(found), "c1")


async def end_of(storage: Storage, partition: int) -> int:
    """Read the partition's log to its end. Returns the position."""
    position = (await storage.tail(partition, None, 1)).revision
    tail = await storage.tail(partition, position, 1)
    assert not tail.events
    return tail.revision


async def test_a_wait_ends_with_the_next_event(storage: Storage) -> None:
    """A wait ends with an event of its own partition, and with no other's."""
    waits = {
        partition: asyncio.create_task(
            storage.wait(partition, await end_of(storage, partition), LATER)
        )
        for partition in range(storage.partitions)
    }
    for partition in (1, 7, 30):
        written = await storage.write(Write(key_in(storage, partition), b"", 60_000))
        await asyncio.wait_for(waits.pop(partition), TIMEOUT)
        assert not any(each.done() for each in waits.values())
        assert await end_of(storage, partition) == written.version
    for each in waits.values():
        each.cancel()
    await asyncio.gather(*waits.values(), return_exceptions=True)


async def test_an_event_before_the_wait(storage: Storage) -> None:
    """An event that comes between the read of the log and the wait ends the wait."""
    position = await end_of(storage, 3)
    written = await storage.write(Write(key_in(storage, 3), b"", 60_000))
    await asyncio.wait_for(storage.wait(3, position, LATER), TIMEOUT)
    # Also if somebody else has read the event meanwhile.
    assert (await storage.tail(3, written.version, 1)).events == []
    await asyncio.wait_for(storage.wait(3, position, LATER), TIMEOUT)


async def test_a_wait_ends_in_time(storage: Storage) -> None:
    """Without an event a wait ends after its time, again and again."""
    position = await end_of(storage, 5)
    for _ in range(3):
        await storage.wait(5, position, 0.001)
    assert await end_of(storage, 5) == position
