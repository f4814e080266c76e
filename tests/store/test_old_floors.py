"""Floors go once they can end nothing any more, and never before."""

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from relevo_server.errors import StoreError
from relevo_server.keys import Key, partition_of
from relevo_server.settings import Settings
from relevo_server.storage.interface import LeaseAttempt, Write
from relevo_server.storage.memory import MemoryStorage
from relevo_server.ttl import Ttl
from support.clients.calls import Stub, invalidate_tenant, is_alive, key, put, seconds
from support.redis.client import RedisClient
from support.servers.serving import serving

DAY = 86_400.0
MARGIN = 3600.0
ON_REDIS = pytest.mark.parametrize("store_url", ["redis"], indirect=True)


class State:
    """The state of the tenant's partition in Redis."""

    def __init__(self, redis: RedisClient, settings: Settings) -> None:
        self._redis = redis
        partition = partition_of("acme", settings.partitions)
        self._name = f"{{{settings.store_prefix}:{partition}}}:state"

    def add(self, name: str, count: int, age: float) -> None:
        """Add floors of scopes with this name, as if raised so many seconds ago."""
        ms = round((time.time() - age) * 1000)
        for i in range(0, count, 500):
            fields = (f"floor:acme:{name}{j}" for j in range(i, min(count, i + 500)))
            self._redis("HSET", self._name, *(word for f in fields for word in (f, f"{ms}-0")))

    def count(self, name: str) -> int:
        """The number of floors of scopes with this name."""
        prefix = f"floor:acme:{name}".encode()
        return sum(field.startswith(prefix) for field in self._redis("HKEYS", self._name))


@pytest.fixture
def state(settings: Settings, redis_url: str) -> Iterator[State]:
    """That state, of the settings' store."""
    with RedisClient(redis_url) as redis:
        yield State(redis, settings)


@ON_REDIS
async def test_old_floors_go_faster_than_new_ones_come(stub: Stub, state: State) -> None:
    """Each Invalidate of a scope removes some old floors, so their number is bounded."""
    await put(stub, key())
    state.add("old", 3000, DAY + MARGIN + 60)
    state.add("young", 300, DAY + MARGIN - 60)
    calls = 0
    while state.count("old"):
        await invalidate_tenant(stub, "acme", f"new{calls}")
        calls += 1
        assert calls < 600
    assert calls > 30, "one call looked at very many"
    assert state.count("young") == 300
    assert state.count("new") == calls
    assert await is_alive(stub, key())


@ON_REDIS
async def test_floors_last_as_long_as_the_longest_time_to_live(
    settings: Settings, state: State
) -> None:
    """A longer time to live that another server's settings allowed is remembered."""
    longer = settings.model_copy(update={"ttl": Ttl(maximum=7 * DAY)})
    async with serving(longer) as stub:
        await put(stub, key(), ttl=seconds(6 * DAY))
        await put(stub, key("c2"), ttl=seconds(1))
    state.add("fifth", 5, 5 * DAY)
    state.add("eighth", 5, 8 * DAY)
    async with serving(settings) as stub:
        await invalidate_tenant(stub, "acme", "any")
    assert (state.count("fifth"), state.count("eighth")) == (5, 0)


@ON_REDIS
async def test_floors_last_as_long_as_the_settings_allow(settings: Settings, state: State) -> None:
    """Before anything was written, the greatest time to live of the settings counts."""
    longer = settings.model_copy(update={"ttl": Ttl(maximum=7 * DAY)})
    state.add("fifth", 5, 5 * DAY)
    state.add("eighth", 5, 8 * DAY)
    async with serving(longer) as stub:
        await invalidate_tenant(stub, "acme", "any")
    assert (state.count("fifth"), state.count("eighth")) == (5, 0)


@pytest.fixture
def memory() -> MemoryStorage:
    """The in-memory backend, with a short log."""
    return MemoryStorage(1, log_length=10, request_ttl_ms=60_000)


async def test_floors_in_memory_take_no_memory(memory: MemoryStorage) -> None:
    """Thousands of floors in the memory of a server are swept: they take little."""
    await memory.invalidate_tenant("acme", "warm")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(5000):
            await memory.invalidate_tenant("acme", f"scope-{i}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


async def test_what_a_floor_ended_stays_ended(memory: MemoryStorage) -> None:
    """No entry and no lease comes back to life when the floor that ended it is swept."""
    dead, leased = Key("conversation", "acme", "c1"), Key("conversation", "acme", "c2")
    await memory.write(Write(dead, b"", 60_000))
    await memory.lease(LeaseAttempt(leased, "token", 60_000))
    await memory.invalidate_tenant("acme", "conversation")
    for i in range(1000):
        await memory.invalidate_tenant("acme", f"scope-{i}")
        assert (await memory.read([dead])).entries == [None]
    with pytest.raises(StoreError, match="lease"):
        await memory.write(Write(leased, b"", 60_000, lease="token"))
    assert (await memory.read([leased])).entries == [None]
