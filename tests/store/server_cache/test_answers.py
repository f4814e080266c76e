"""The server's cache: memory answers what the log confirms, and the store answers the rest."""

import asyncio
import time
from itertools import count

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import BatchGetRequest, Consistency, GetRequest, GetResponse
from relevo_server.storage import Storage
from relevo_server.storage.events import Gap
from relevo_server.wire.contexts import key_of
from store.server_cache.asking import AGENT, CACHED, from_memory, is_as_of, is_asked, outcome
from support.clients.calls import (
    TIMEOUT,
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
    seconds,
)
from support.failures import failure_in, failure_of
from support.servers.spied_storage import Spy
from support.waiting import until_async


async def test_the_store_is_not_asked_again(stub: Stub, spy: Spy) -> None:
    """A CACHED Get of an entry that was read before is answered from memory, as by the store."""
    await put(stub, key(), context(user_id="u", llm_config={"model": "m"}))
    begun = time.monotonic()
    answer: GetResponse = await from_memory(stub, spy, key())
    strong = await get(stub, key())
    slack = 2 + (time.monotonic() - begun) * 1000
    # The cached entry's time was rounded down twice, and counts from the read of the store.
    assert abs(answer.entry.ttl.ToMilliseconds() - strong.entry.ttl.ToMilliseconds()) <= slack
    for each in (answer, strong):
        each.entry.ClearField("ttl")
        each.entry.ClearField("expire_time")
    assert answer == strong
    before = spy.reads
    for _ in range(20):
        await get(stub, key(), consistency=CACHED)
    assert spy.reads == before


@pytest.mark.parametrize(
    "consistency", [Consistency.CONSISTENCY_UNSPECIFIED, Consistency.CONSISTENCY_STRONG]
)
async def test_strong_reads_ask_the_store(stub: Stub, spy: Spy, consistency: Consistency) -> None:
    """A STRONG Get returns the last acknowledged write, with or without a fence."""
    first = (await put(stub, key())).revision
    await from_memory(stub, spy, key())
    spy.looks_go_on.clear()
    for i in range(5):
        await put(stub, key(), context(user_id=str(i)))
        for fence in (0, first):
            before = spy.reads
            answer = await get(stub, key(), consistency=consistency, min_revision=fence)
            assert answer.entry.context.user_id == str(i)
            assert spy.reads == before + 1
    assert (await get(stub, key(), consistency=CACHED)).entry.version == first


async def test_a_fence_beyond_the_position(stub: Stub, spy: Spy) -> None:
    """A Get reads from the store only if its fence is beyond the position of the cache."""
    first = (await put(stub, key())).revision
    await from_memory(stub, spy, key())
    spy.looks_go_on.clear()
    second = (await put(stub, key())).revision
    answer = await get(stub, key(), consistency=CACHED, min_revision=second)
    assert answer.entry.version == second
    answer = await get(stub, key(), consistency=CACHED, min_revision=first)
    assert (answer.entry.version, answer.revision) == (first, first)
    spy.looks_go_on.set()
    answer = await from_memory(stub, spy, key(), min_revision=second)
    assert (answer.entry.version, answer.revision) == (second, second)
    failure = await failure_of(get(stub, key(), consistency=CACHED, min_revision=second + 1))
    assert failure.reason == "STORE_BEHIND"


@pytest.mark.parametrize("how", ["put", "invalidated", "tenant", "scope"])
async def test_an_event_ends_a_copy(stub: Stub, spy: Spy, how: str) -> None:
    """CACHED Gets show each kind of write without a request for a later revision."""
    await put(stub, key())
    await from_memory(stub, spy, key())
    wanted: int | StatusCode = StatusCode.NOT_FOUND
    match how:
        case "put":
            wanted = (await put(stub, key())).revision
        case "invalidated":
            await invalidate(stub, key())
        case "tenant":
            await invalidate_tenant(stub, "acme")
        case _:
            await invalidate_tenant(stub, "acme", "conversation")

    async def shows() -> bool:
        found = await outcome(stub, key())
        return (found.entry.version if isinstance(found, GetResponse) else found) == wanted

    await until_async(shows)


async def test_events_about_others_end_nothing(stub: Stub, spy: Spy, storage: Storage) -> None:
    """Events about other entries advance a cached entry's position, and keep it cached."""
    here = storage.partition_of("acme")
    other = next(name for name in map(str, count()) if storage.partition_of(name) == here)
    await put(stub, key())
    await from_memory(stub, spy, key())
    before = spy.reads
    await put(stub, key(tenant=other))
    await invalidate_tenant(stub, other)
    await invalidate_tenant(stub, "acme", "agent_config")
    await invalidate(stub, key("c2"))
    last = (await put(stub, AGENT)).revision
    await until_async(lambda: is_as_of(stub, key(), last))
    assert spy.reads == before


async def test_a_reply_that_was_overtaken_is_not_kept(stub: Stub, spy: Spy) -> None:
    """A value that an event overtook on its way answers one call, and is not cached."""
    await put(stub, key("c2"))
    await put(stub, key(), context(user_id="old"))
    await from_memory(stub, spy, key("c2"))
    spy.answers_go_on.clear()
    before = spy.reads
    late = asyncio.create_task(get(stub, key(), consistency=CACHED))
    await until_async(lambda: spy.reads > before)
    revision = (await put(stub, key(), context(user_id="new"))).revision
    await until_async(lambda: is_as_of(stub, key("c2"), revision))
    spy.answers_go_on.set()
    assert (await late).entry.context.user_id == "old"
    assert (await get(stub, key(), consistency=CACHED)).entry.context.user_id == "new"


@pytest.mark.parametrize("gap", Gap)
async def test_a_log_that_does_not_continue(stub: Stub, spy: Spy, gap: Gap) -> None:
    """If events are missing or the order was lost, no cached entry is used any more."""
    for name in ("c1", "c2"):
        await put(stub, key(name))
    for name in ("c1", "c2"):
        await from_memory(stub, spy, key(name))
    spy.gap = gap
    await until_async(lambda: spy.gap is None)
    await until_async(lambda: is_asked(stub, spy, key("c1")))
    assert await is_asked(stub, spy, key("c2"))
    await from_memory(stub, spy, key("c1"))


async def test_what_is_absent_is_known(stub: Stub, spy: Spy) -> None:
    """The absence of an entry is answered from memory too, until one is written (N7)."""
    await put(stub, key("c2"))  # an event in the partition, so that it has a position
    assert await from_memory(stub, spy, key()) is StatusCode.NOT_FOUND
    await put(stub, key())
    await until_async(lambda: _is_there(stub))


async def _is_there(stub: Stub) -> bool:
    return isinstance(await outcome(stub, key()), GetResponse)


async def test_time_to_live_is_counted_in_memory(stub: Stub, spy: Spy) -> None:
    """A cached entry reports the rest of its time to live, and expires without an event."""
    await put(stub, key(), ttl=seconds(2))
    await from_memory(stub, spy, key())
    spy.looks_go_on.clear()
    told = [2.0]

    async def is_over() -> bool:
        is_dead = not await is_alive(stub, key())
        before = spy.reads
        answer = await outcome(stub, key())
        if is_dead:
            assert answer is StatusCode.NOT_FOUND
        elif isinstance(answer, GetResponse) and spy.reads == before:
            told.append(answer.entry.ttl.ToMilliseconds() / 1000)
        return is_dead

    await until_async(is_over)
    assert told == sorted(told, reverse=True)
    assert told[-1] < 1.9


async def test_a_life_that_was_prolonged(stub: Stub, spy: Spy, storage: Storage) -> None:
    """When a cached entry's time is over, the store is asked, as a Touch may have prolonged it."""
    version = (await put(stub, key(), ttl=seconds(2))).revision
    await from_memory(stub, spy, key())
    asked = spy.reads

    async def is_asked_again() -> bool:
        await storage.touch(key_of(key()))
        answer = await get(stub, key(), consistency=CACHED)
        assert answer.entry.version == version
        return spy.reads > asked

    await until_async(is_asked_again)


async def test_layers_from_memory(stub: Stub, spy: Spy) -> None:
    """Memory answers an entry only with all its layers as of one revision; else the store does."""
    await put(stub, AGENT, context(user_id="a"))
    await put(stub, key(), context(includes=[AGENT, key("none")]))
    answer = await from_memory(stub, spy, key(), include_layers=True)
    assert [layer.context.user_id for layer in answer.layers] == ["a"]
    revision = (await put(stub, AGENT, context(user_id="b"))).revision
    await until_async(lambda: is_as_of(stub, key(), revision))
    before = spy.reads
    answer = await get(stub, key(), include_layers=True, consistency=CACHED)
    assert spy.reads > before, "the head alone is in memory"
    assert [layer.context.user_id for layer in answer.layers] == ["b"]
    await put(stub, key(), context(includes=[]))
    answer = await from_memory(stub, spy, key(), include_layers=True, min_revision=revision + 1)
    assert not answer.layers


async def test_what_is_known_is_not_sent_again(stub: Stub, spy: Spy) -> None:
    """With `known_version` the answer omits the context, and the cache still keeps it."""
    version = (await put(stub, key(), context(user_id="u"))).revision
    answer = await from_memory(stub, spy, key(), known_version=version)
    assert answer.not_modified
    assert not answer.entry.HasField("context")
    before = spy.reads
    answer = await get(stub, key(), consistency=CACHED, known_version=version - 1)
    assert answer.entry.context.user_id == "u"
    assert spy.reads == before


async def test_a_batch_from_memory(stub: Stub, spy: Spy) -> None:
    """Memory answers the Gets of a batch one by one, each with its own consistency."""
    for name in ("c1", "c2"):
        await put(stub, key(name), context(user_id=name))
        await from_memory(stub, spy, key(name))
    await from_memory(stub, spy, key("none"))
    requests = [GetRequest(key=key(name), consistency=CACHED) for name in ("c1", "none", "c2")]
    strong = GetRequest(key=key("c1"))
    before = spy.reads
    response = await stub.BatchGet(BatchGetRequest(requests=[*requests, strong]), timeout=TIMEOUT)
    first, missing, second, last = response.results
    assert [each.response.entry.context.user_id for each in (first, second, last)] == [
        "c1",
        "c2",
        "c1",
    ]
    assert failure_in(missing.error).reason == "NO_ENTRY"
    assert spy.reads == before + 1
