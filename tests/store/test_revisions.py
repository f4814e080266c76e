"""Revisions only grow, even if the clock does not (S1, S3)."""

import pytest
from relevo_server import revisions
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.memory import MemoryStorage
from support.clients.calls import Stub, get, invalidate, invalidate_tenant, is_alive, key, put
from support.redis.client import RedisClient
from support.servers.serving import serving_from

LAST_SEQUENCE = (1 << 20) - 1
FUTURE = 4_000_000_000_001  # milliseconds: the year 2096; odd, as a timestamp may be


async def test_a_clock_that_steps_back_in_memory() -> None:
    """Every revision is greater than the one before, even if the time of day steps back."""
    times = [1000.0, 1000.0, 1000.001, 999.0, 0.5, 999.999, 1000.002, -1.0, 1001.0]
    remaining = iter(times)
    storage = MemoryStorage(1, log_length=100, request_ttl_ms=1000, clock=lambda: next(remaining))
    async with serving_from(storage, Settings()) as stub:
        found = [(await put(stub, key())).revision for _ in times]
    assert found == sorted(set(found))
    assert found[0] == revisions.pack(1_000_000, 0)
    assert found[-1] == revisions.pack(1_001_000, 0)


async def test_a_clock_that_stands_still_in_memory() -> None:
    """If one millisecond's sequence numbers are used up, revisions continue in the next one."""
    storage = MemoryStorage(1, log_length=100, request_ttl_ms=1000, clock=lambda: 1.0)
    async with serving_from(storage, Settings()) as stub:
        first = (await put(stub, key())).revision
        second = (await put(stub, key())).revision
    assert (first, second) == (revisions.pack(1000, 0), revisions.pack(1000, 1))
    assert revisions.after(revisions.pack(1000, LAST_SEQUENCE), 1000) == revisions.pack(1001, 0)


@pytest.fixture
def store_url(redis_url: str) -> str:
    """These tests are about Redis."""
    return redis_url


def set_last(redis: RedisClient, prefix: str, partition: int, log_id: str) -> None:
    """Set the last revision of a partition, like a clock that was ahead."""
    tag = f"{{{prefix}:{partition}}}"
    redis("XADD", f"{tag}:log", log_id, "op", "put", "key", "conversation:acme:c0")
    redis("HSET", f"{tag}:state", "revision", log_id)


async def test_a_clock_that_steps_back_in_redis(
    storage: Storage, storage_stub: Stub, settings: Settings, redis: RedisClient
) -> None:
    """After a last revision that is far in the future, every write takes the next one."""
    last = revisions.pack(FUTURE, 7)
    set_last(redis, settings.store_prefix, storage.partition_of("acme"), f"{FUTURE}-7")
    found = [
        (await put(storage_stub, key())).revision,
        (await invalidate(storage_stub, key())).revision,
        (await invalidate_tenant(storage_stub, "acme")).revision,
        (await put(storage_stub, key())).revision,
    ]
    assert found == [last + 1, last + 2, last + 3, last + 4]
    assert await is_alive(storage_stub, key())


async def test_a_used_up_sequence_in_redis(
    storage: Storage, storage_stub: Stub, settings: Settings, redis: RedisClient
) -> None:
    """If one millisecond's sequence is used up, the next begins early: revisions stay distinct."""
    stub = storage_stub
    partition = storage.partition_of("acme")
    last = f"{FUTURE}-{LAST_SEQUENCE - 1}"
    set_last(redis, settings.store_prefix, partition, last)
    found = [
        (await put(stub, key())).revision,
        (await put(stub, key())).revision,
        (await invalidate(stub, key())).revision,
    ]
    assert found == [
        revisions.pack(FUTURE, LAST_SEQUENCE),
        revisions.pack(FUTURE + 1, 0),
        revisions.pack(FUTURE + 1, 1),
    ]
    events = (await storage.tail(partition, revisions.from_log_id(last.encode()), 10)).events
    assert [event.revision for event in events] == found


@pytest.mark.parametrize("tenant", [True, False], ids=["tenant", "keys"])
async def test_a_sequence_that_ends_within_an_invalidate(
    storage: Storage, storage_stub: Stub, settings: Settings, redis: RedisClient, tenant: bool
) -> None:
    """An Invalidate passes the end of a sequence like a Put does, and still ends entries."""
    stub = storage_stub
    await put(stub, key())
    partition = storage.partition_of("acme")
    set_last(redis, settings.store_prefix, partition, f"{FUTURE}-{LAST_SEQUENCE - 1}")
    await put(stub, key("c2"))
    if tenant:
        revision = (await invalidate_tenant(stub, "acme")).revision
        assert revision == revisions.pack(FUTURE + 1, 0)
    else:
        ended = await invalidate(stub, key(), key("c2"), key("c3"))
        assert ended.invalidated_count == 2
        assert ended.revision == revisions.pack(FUTURE + 1, 2)
    assert not await is_alive(stub, key())
    assert not await is_alive(stub, key("c2"))
    again = await put(stub, key("c2"))
    assert (await get(stub, key("c2"))).entry.version == again.revision
