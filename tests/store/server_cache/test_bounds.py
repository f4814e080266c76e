"""The bounds of the server's cache: staleness, memory, idle time and access."""

import time
from typing import Any

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import GetRequest, PutRequest
from store.server_cache.asking import CACHED, from_memory, is_asked
from support.clients.access import bearer, principal
from support.clients.calls import (
    TIMEOUT,
    Stub,
    context,
    get,
    key,
    put,
)
from support.contexts import of_size
from support.failures import failure_of
from support.servers.spied_storage import Spy
from support.waiting import until_async

STALENESS = 0.3


@pytest.mark.parametrize("options", [{"cache_max_staleness": STALENESS}])
async def test_nothing_is_older_than_the_bound(stub: Stub, spy: Spy) -> None:
    """If the log cannot be read, memory answers for no longer than `cache_max_staleness`."""
    await put(stub, key())
    await from_memory(stub, spy, key())
    spy.looks_go_on.clear()
    blind = time.monotonic()

    async def is_asked_now() -> bool:
        sent = time.monotonic()
        if await is_asked(stub, spy, key()):
            return True
        assert sent - blind <= STALENESS
        return False

    await until_async(is_asked_now)
    assert await is_asked(stub, spy, key())
    spy.looks_go_on.set()
    await from_memory(stub, spy, key())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"cache_max_staleness": 30.0, "cache_max_entries": 3}, id="entries"),
        pytest.param({"cache_max_staleness": 30.0, "cache_max_bytes": 200_000}, id="bytes"),
    ],
)
async def test_memory_is_bounded(stub: Stub, spy: Spy) -> None:
    """If the cache is full, the least recently used entries are evicted."""
    for i in range(6):
        await put(stub, key(f"c{i}"), of_size(60_000))
        await from_memory(stub, spy, key(f"c{i}"))
        if i == 4:
            await from_memory(stub, spy, key("c2"))
    kept = [not await is_asked(stub, spy, key(f"c{i}")) for i in (2, 4, 5)]
    assert kept == [True, True, True]
    assert await is_asked(stub, spy, key("c3"))


@pytest.mark.parametrize("options", [{"cache_max_bytes": 1000}])
async def test_no_room_for_an_entry(stub: Stub, spy: Spy) -> None:
    """An entry larger than the whole cache is read from the store each time, and evicts nothing."""
    await put(stub, key(), of_size(2000))
    await from_memory(stub, spy, key("none"))
    for _ in range(5):
        assert await is_asked(stub, spy, key())
    await from_memory(stub, spy, key("none"))


@pytest.mark.parametrize("options", [{"cache_max_entries": 0}])
async def test_without_a_cache(stub: Stub, spy: Spy) -> None:
    """Without a cache, CACHED Gets read from the store, and no log is followed for them."""
    await put(stub, key())
    for _ in range(5):
        assert await is_asked(stub, spy, key())
    assert spy.looks == 0


@pytest.mark.parametrize("options", [{"cache_idle": 0.2, "watch_heartbeat": 0.1}])
async def test_an_idle_partition_is_not_followed(stub: Stub, spy: Spy) -> None:
    """The log of an idle partition is no longer followed; a later Get reads the store's value."""
    await put(stub, key())
    await from_memory(stub, spy, key())
    await until_async(lambda: spy.ends)
    revision = (await put(stub, key())).revision
    assert (await get(stub, key(), consistency=CACHED)).entry.version == revision
    await from_memory(stub, spy, key())


PRINCIPALS = principal("acme", "acme"), principal("globex", "globex")


@pytest.mark.parametrize("options", [{"principals": PRINCIPALS}])
async def test_access_is_looked_at_first(stub: Stub, spy: Spy) -> None:
    """An entry that one caller brought into memory is not served to another tenant's caller."""

    def get_as(name: str) -> Any:
        request = GetRequest(key=key(), consistency=CACHED)
        return stub.Get(request, metadata=bearer(name), timeout=TIMEOUT)

    put_request = PutRequest(key=key(), context=context())
    await stub.Put(put_request, metadata=bearer("acme"), timeout=TIMEOUT)

    async def is_at_hand() -> bool:
        before = spy.reads
        await get_as("acme")
        return spy.reads == before

    await until_async(is_at_hand)
    failure = await failure_of(get_as("globex"))
    assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")
