"""Time to live: from scope or request, within a maximum; expiry is decided at the read (S5)."""

import asyncio
import time
from dataclasses import dataclass

import pytest
from grpc import StatusCode
from relevo_server.settings import Settings
from relevo_server.storage.memory import MemoryStorage
from relevo_server.ttl import Ttl
from support.clients.calls import (
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    is_alive,
    key,
    put,
    seconds,
)
from support.failures import failure_of
from support.servers.serving import serving, serving_from
from support.waiting import until_async


@pytest.mark.parametrize(
    "scope, expected",
    [("conversation", 1800), ("agent_config", 600), ("collection_config", 900), ("other", 300)],
)
async def test_the_scope_decides(stub: Stub, scope: str, expected: int) -> None:
    """An entry lives as long as its scope's setting; Get returns the time that is left."""
    written = await put(stub, key(scope=scope))
    assert (written.entry.ttl.seconds, written.entry.ttl.nanos) == (expected, 0)
    read = (await get(stub, key(scope=scope))).entry
    assert expected - 5 < read.ttl.ToTimedelta().total_seconds() <= expected


async def test_the_settings_decide_about_scopes(settings: Settings) -> None:
    """The settings add scopes, and replace those that are built in."""
    ttl = Ttl(default=7, maximum=50, scopes={"tool": 0.25, "agent_config": 20})
    async with serving(settings.model_copy(update={"ttl": ttl})) as stub:
        for scope, expected in {
            "tool": 0.25,
            "agent_config": 20,
            "other": 7,
            "conversation": 50,  # built in with more than the maximum
        }.items():
            entry = (await put(stub, key(scope=scope))).entry
            assert entry.ttl.ToTimedelta().total_seconds() == expected


@pytest.mark.parametrize("wanted", [0.001, 0.25, 12.345, 86_400])
async def test_the_request_decides(stub: Stub, wanted: float) -> None:
    """A Put's own time overrides its scope's, to the millisecond, up to the maximum."""
    entry = (await put(stub, key(), ttl=seconds(wanted))).entry
    assert entry.ttl.ToTimedelta().total_seconds() == wanted


async def test_less_than_a_millisecond_is_one(stub: Stub) -> None:
    """Times are rounded up to whole milliseconds, so that none becomes zero."""
    ttl = seconds(0)
    ttl.nanos = 1
    assert (await put(stub, key(), ttl=ttl)).entry.ttl.nanos == 1_000_000


async def test_over_the_maximum(stub: Stub) -> None:
    """A time above the maximum is refused, not reduced."""
    failure = await failure_of(put(stub, key(), ttl=seconds(86_400.001)))
    assert (failure.code, failure.fields) == (StatusCode.INVALID_ARGUMENT, ["ttl"])
    assert not await is_alive(stub, key())


async def test_every_put_sets_it_anew(stub: Stub) -> None:
    """A later Put's time replaces the remaining time, whether longer or shorter."""
    for wanted in (60, 3600, 30):
        await put(stub, key(), ttl=seconds(wanted))
        left = (await get(stub, key())).entry.ttl.ToTimedelta().total_seconds()
        assert wanted - 5 < left <= wanted


async def test_expire_time_is_the_same_by_the_clock(stub: Stub) -> None:
    """`expire_time` is now plus `ttl`, by the clock of the server, which is here our own."""
    before = time.time()
    entry = (await put(stub, key(), ttl=seconds(100))).entry
    after = time.time()
    expires = entry.expire_time.ToNanoseconds() / 1e9
    assert before + 100 - 0.001 <= expires <= after + 100


async def test_an_entry_is_gone_when_its_time_is_over(stub: Stub) -> None:
    """An entry with a sub-second time ends for Get, BatchGet, conditions and Invalidate's count."""
    await put(stub, key(), ttl=seconds(0.15))
    await put(stub, key("long"))

    async def expired() -> bool:
        return not await is_alive(stub, key())

    await until_async(expired)
    gone, alive = await batch_get(stub, key(), key("long"))
    assert gone.error.code == StatusCode.NOT_FOUND.value[0]
    assert alive.response.entry.key == key("long")
    assert (await invalidate(stub, key())).invalidated_count == 0
    assert (await failure_of(put(stub, key(), if_version=1))).metadata["current_version"] == "0"


async def test_an_expired_layer_is_missing(stub: Stub) -> None:
    """An expired layer is left out, like one that never existed."""
    agent = key("a1", scope="agent_config")
    await put(stub, agent, ttl=seconds(0.05))
    await put(stub, key(), context(includes=[agent]))

    async def missing() -> bool:
        return not (await get(stub, key(), include_layers=True)).layers

    await until_async(missing)


async def test_a_life_is_not_lengthened_by_reading(stub: Stub) -> None:
    """Reads do not prolong an entry's life."""
    await put(stub, key(), ttl=seconds(0.2))

    async def expired() -> bool:
        return not await is_alive(stub, key())

    await until_async(expired, within=2)


@dataclass
class Clocks:
    """The time of day and the monotonic time, both set by the test."""

    day: float = 1_800_000_000.0
    since: float = 0.0


async def test_expiry_is_decided_at_the_very_moment() -> None:
    """An entry is alive until the last millisecond, and expired from its deadline on.

    Tested in memory, with a clock that the test sets.
    """
    clocks = Clocks()
    storage = MemoryStorage(
        4,
        log_length=100,
        request_ttl_ms=1000,
        clock=lambda: clocks.day,
        monotonic=lambda: clocks.since,
    )
    async with serving_from(storage, Settings()) as stub:
        await put(stub, key(), ttl=seconds(10))
        clocks.since = 9.9995
        assert (await get(stub, key())).entry.ttl.ToNanoseconds() == 0
        clocks.since = 10.0
        assert not await is_alive(stub, key())


async def test_the_time_of_day_does_not_matter() -> None:
    """Changes of the time of day neither end an entry nor prolong its life."""
    clocks = Clocks()
    storage = MemoryStorage(
        4,
        log_length=100,
        request_ttl_ms=1000,
        clock=lambda: clocks.day,
        monotonic=lambda: clocks.since,
    )
    async with serving_from(storage, Settings()) as stub:
        await put(stub, key(), ttl=seconds(10))
        clocks.day += 1e6
        assert await is_alive(stub, key())
        clocks.day -= 2e6
        clocks.since = 10.0
        assert not await is_alive(stub, key())


async def test_entries_do_not_wait_for_one_another(stub: Stub) -> None:
    """Each of many entries has its own time: the short ones end, the long ones stay."""
    short = [key(f"s{i}") for i in range(20)]
    long = [key(f"l{i}") for i in range(20)]
    await asyncio.gather(*(put(stub, each, ttl=seconds(0.05)) for each in short))
    await asyncio.gather(*(put(stub, each, ttl=seconds(60)) for each in long))

    async def over() -> bool:
        results = await batch_get(stub, *short)
        return all(result.HasField("error") for result in results)

    await until_async(over)
    results = await batch_get(stub, *long)
    assert all(result.HasField("response") for result in results)
