"""The server's cache: memory answers what the log confirms, else the store is asked."""

import asyncio
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import BatchGetRequest, Consistency, GetRequest, GetResponse, PutRequest
from relevo_server.settings import Principal, Settings
from relevo_server.storage import Storage
from relevo_server.storage.interface import Gap
from relevo_server.wire.contexts import key_of
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
from support.contexts import of_size
from support.failures import failure_in, failure_of
from support.servers.serving import serving_from
from support.servers.spied_storage import Spy
from support.waiting import until_async

CACHED = Consistency.CONSISTENCY_CACHED
AGENT = key("a1", scope="agent_config")
STALENESS = 0.3


@pytest.fixture
def spy(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """What the server asks of its backend."""
    return Spy(storage, monkeypatch)


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings of the test's own: a bound that no pause of the machine reaches."""
    return {"cache_max_staleness": 30.0, "watch_heartbeat": 0.1}


@pytest.fixture
async def stub(
    storage: Storage, settings: Settings, options: dict[str, Any], spy: Spy
) -> AsyncIterator[Stub]:
    """The stub of a server whose backend is spied upon."""
    del spy  # it is there before the server
    async with serving_from(storage, settings.model_copy(update=options)) as stub:
        yield stub


async def outcome(stub: Stub, target: ContextKey, **rest: Any) -> Message | StatusCode:
    """What a CACHED Get answers, or how it fails."""
    try:
        return await get(stub, target, consistency=CACHED, **rest)
    except aio.AioRpcError as error:
        return error.code()


async def from_memory(stub: Stub, spy: Spy, target: ContextKey, **rest: Any) -> Any:
    """What a CACHED Get is answered, as soon as the store is not asked for it."""
    found: Message | StatusCode = StatusCode.UNKNOWN

    async def is_at_hand() -> bool:
        nonlocal found
        before = spy.reads
        found = await outcome(stub, target, **rest)
        return spy.reads == before

    await until_async(is_at_hand, what=f"{target} is answered from memory")
    return found


async def is_asked(stub: Stub, spy: Spy, target: ContextKey, **rest: Any) -> bool:
    """Whether the store is asked for a CACHED Get."""
    before = spy.reads
    await outcome(stub, target, **rest)
    return spy.reads > before


async def is_as_of(stub: Stub, target: ContextKey, revision: int) -> bool:
    """Whether an entry that is there is answered as of this revision or later."""
    return (await get(stub, target, consistency=CACHED)).revision >= revision


async def test_the_store_is_not_asked_again(stub: Stub, spy: Spy) -> None:
    """A CACHED Get of what was read before is answered from memory, as the store would."""
    await put(stub, key(), context(user_id="u", llm_config={"model": "m"}))
    begun = time.monotonic()
    answer: GetResponse = await from_memory(stub, spy, key())
    strong = await get(stub, key())
    slack = 2 + (time.monotonic() - begun) * 1000
    # The copy's was rounded down twice, and is counted from when the store was asked.
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
    """A STRONG Get shows the last acknowledged write, fenced or not, whatever is in memory."""
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
    """A fence that memory has not reached makes the server ask; one that it has does not."""
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
    """Each kind of write shows in CACHED Gets, without anyone's asking for a later revision."""
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
    """What happens to other entries of the partition moves a copy on, and leaves it in memory."""
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
    """What was read before an event, and arrives after it, is answered once and then forgotten."""
    await put(stub, key("c2"))
    await put(stub, key(), context(user_id="old"))
    await from_memory(stub, spy, key("c2"))
    spy.answers_go_on.clear()
    before = spy.reads
    late = asyncio.create_task(get(stub, key(), consistency=CACHED))
    await until_async(lambda: asyncio.sleep(0, spy.reads > before))
    revision = (await put(stub, key(), context(user_id="new"))).revision
    await until_async(lambda: is_as_of(stub, key("c2"), revision))
    spy.answers_go_on.set()
    assert (await late).entry.context.user_id == "old"
    assert (await get(stub, key(), consistency=CACHED)).entry.context.user_id == "new"


@pytest.mark.parametrize("gap", Gap)
async def test_a_log_that_does_not_continue(stub: Stub, spy: Spy, gap: Gap) -> None:
    """Where events are missing, or the order was lost, nothing in memory is used any more."""
    for name in ("c1", "c2"):
        await put(stub, key(name))
    for name in ("c1", "c2"):
        await from_memory(stub, spy, key(name))
    spy.gap = gap
    await until_async(lambda: asyncio.sleep(0, spy.gap is None))
    await until_async(lambda: is_asked(stub, spy, key("c1")))
    assert await is_asked(stub, spy, key("c2"))
    await from_memory(stub, spy, key("c1"))


async def test_what_is_absent_is_known(stub: Stub, spy: Spy) -> None:
    """That there is no entry is answered from memory too, until there is one (N7)."""
    await put(stub, key("c2"))  # the partition has an order
    assert await from_memory(stub, spy, key()) is StatusCode.NOT_FOUND
    await put(stub, key())
    await until_async(lambda: _is_there(stub))


async def _is_there(stub: Stub) -> bool:
    return isinstance(await outcome(stub, key()), GetResponse)


async def test_time_to_live_is_counted_in_memory(stub: Stub, spy: Spy) -> None:
    """A copy says what is left of its time, and none outlives it, although no event says so."""
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
    """When the time that a copy knows of is over, the store may know of more, and is asked."""
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
    """An entry comes with all of its layers, as of one revision, or the store is asked for all."""
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
    """`known_version` leaves the context out, and does not keep it out of memory."""
    version = (await put(stub, key(), context(user_id="u"))).revision
    answer = await from_memory(stub, spy, key(), known_version=version)
    assert answer.not_modified
    assert not answer.entry.HasField("context")
    before = spy.reads
    answer = await get(stub, key(), consistency=CACHED, known_version=version - 1)
    assert answer.entry.context.user_id == "u"
    assert spy.reads == before


async def test_a_batch_from_memory(stub: Stub, spy: Spy) -> None:
    """The Gets of a batch are answered from memory one by one, each as it wishes."""
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


@pytest.mark.parametrize("options", [{"cache_max_staleness": STALENESS}])
async def test_nothing_is_older_than_the_bound(stub: Stub, spy: Spy) -> None:
    """When the log cannot be looked at, memory answers no longer than `cache_max_staleness`."""
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
    """Where there is no room for all, those go that were not used for longest."""
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
    """What is larger than all of the cache is asked for each time, and leaves room for others."""
    await put(stub, key(), of_size(2000))
    await from_memory(stub, spy, key("none"))
    for _ in range(5):
        assert await is_asked(stub, spy, key())
    await from_memory(stub, spy, key("none"))


@pytest.mark.parametrize("options", [{"cache_max_entries": 0}])
async def test_without_a_cache(stub: Stub, spy: Spy) -> None:
    """Where there is no cache, CACHED Gets ask the store, and no log is followed for them."""
    await put(stub, key())
    for _ in range(5):
        assert await is_asked(stub, spy, key())
    assert spy.looks == 0


@pytest.mark.parametrize("options", [{"cache_idle": 0.2, "watch_heartbeat": 0.1}])
async def test_an_idle_partition_is_not_followed(stub: Stub, spy: Spy) -> None:
    """When nobody asks any more, the log is let go; who asks again finds the store's value."""
    await put(stub, key())
    await from_memory(stub, spy, key())
    await until_async(lambda: asyncio.sleep(0, spy.ends))
    revision = (await put(stub, key())).revision
    assert (await get(stub, key(), consistency=CACHED)).entry.version == revision
    await from_memory(stub, spy, key())


PRINCIPALS = tuple(
    Principal(name=name, token_sha256=sha256(name.encode()).hexdigest(), tenants=(name,))
    for name in ("acme", "globex")
)


@pytest.mark.parametrize("options", [{"principals": PRINCIPALS}])
async def test_access_is_looked_at_first(stub: Stub, spy: Spy) -> None:
    """What one caller has brought into memory is not another tenant's."""

    def get_as(name: str) -> Any:
        metadata = (("authorization", f"Bearer {name}"),)
        request = GetRequest(key=key(), consistency=CACHED)
        return stub.Get(request, metadata=metadata, timeout=TIMEOUT)

    put_request = PutRequest(key=key(), context=context())
    await stub.Put(put_request, metadata=(("authorization", "Bearer acme"),), timeout=TIMEOUT)

    async def is_at_hand() -> bool:
        before = spy.reads
        await get_as("acme")
        return spy.reads == before

    await until_async(is_at_hand)
    failure = await failure_of(get_as("globex"))
    assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")
