"""The log: an event exists if and only if its write does (S1)."""

import asyncio
from collections.abc import Awaitable

import pytest
from grpc import StatusCode, aio
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.revisions import to_log_id
from relevo_server.settings import Settings
from relevo_server.storage import Storage, open_storage
from relevo_server.storage.events import Event, Gap, Tail
from relevo_server.storage.interface import SIZES_ONLY
from relevo_server.storage.redis.records import hash_tag
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
    seconds,
)
from support.contexts import of_size
from support.redis.client import RedisClient
from support.servers.serving import serving_from
from support.waiting import until_async

C1 = Key("conversation", "acme", "c1")
C2 = Key("conversation", "acme", "c2")


async def log_of(storage: Storage, tenant: str = "acme", after: int = 0) -> list[Event]:
    """All events of the tenant's partition."""
    return list((await storage.tail(storage.partition_of(tenant), after, 10_000)).events)


async def test_every_write_has_one_event(storage: Storage, storage_stub: Stub) -> None:
    """Each Put, each key of an Invalidate and each floor has an event with its revision."""
    stub = storage_stub
    put1 = (await put(stub, key())).revision
    put2 = (await put(stub, key("c2"), if_absent=True)).revision
    put3 = (await put(stub, key(), if_version=put1)).revision
    put4 = (await put(stub, key(), update_mask=masked("user_id"))).revision
    put5 = (await put(stub, key(), request_id="r")).revision
    end1 = (await invalidate(stub, key())).revision
    end2 = (await invalidate(stub, key())).revision  # no entry was alive: an event all the same
    floor = (await invalidate_tenant(stub, "acme")).revision
    scope = (await invalidate_tenant(stub, "acme", "agent_config")).revision
    assert await log_of(storage) == [
        Event(put1, "put", C1, fields=("*",)),
        Event(put2, "put", C2, fields=("*",)),
        Event(put3, "put", C1, fields=("*",)),
        Event(put4, "put", C1, fields=("user_id",)),
        Event(put5, "put", C1, fields=("*",)),
        Event(end1, "invalidate", C1),
        Event(end2, "invalidate", C1),
        Event(floor, "floor", tenant_id="acme"),
        Event(scope, "floor", tenant_id="acme", scope="agent_config"),
    ]


async def test_every_key_of_an_invalidate_has_an_event(
    storage: Storage, storage_stub: Stub
) -> None:
    """The keys' events are in the keys' order; the answer's revision is that of the last one."""
    await put(storage_stub, key("c2"))
    before = (await get(storage_stub, key("c2"))).revision
    ended = await invalidate(storage_stub, key(), key("c2"))
    first, last = await log_of(storage, after=before)
    assert (first.kind, first.key) == ("invalidate", C1)
    assert last == Event(ended.revision, "invalidate", C2)
    assert before < first.revision < last.revision


async def test_what_is_refused_has_no_event(storage: Storage, storage_stub: Stub) -> None:
    """A refused call leaves no event, whatever the reason."""
    stub = storage_stub
    version = (await put(stub, key(), request_id="r")).revision
    await put(stub, key(), request_id="r")
    refused: list[Awaitable[object]] = [
        put(stub, key(), if_version=version - 1),
        put(stub, key("none"), if_version=version),
        put(stub, key(), if_absent=True),
        put(stub, key(), context(user_id="u"), request_id="r"),
        put(stub, key("none"), update_mask=masked("user_id")),
        put(stub, key(), update_mask=masked("user_id"), if_version=version - 1),
        put(stub, key(), update_mask=masked("nope")),
        put(stub, key(), lease_token="t"),  # noqa: S106
        put(stub, key(), ttl=seconds(-1)),
        put(stub, key(), of_size(256 * 1024 + 1)),
        get(stub, key("none")),
        get(stub, key(), min_revision=version + 1),
        invalidate(stub),
        invalidate(stub, key(), key(tenant="globex")),
        invalidate_tenant(stub, ""),
    ]
    for result in await asyncio.gather(*refused, return_exceptions=True):
        assert isinstance(result, aio.AioRpcError)
        assert result.code() not in (StatusCode.INTERNAL, StatusCode.UNKNOWN)
    assert await log_of(storage) == [Event(version, "put", C1, fields=("*",))]
    assert (await get(stub, key())).revision == version


async def test_expiry_has_no_event(storage: Storage, storage_stub: Stub) -> None:
    """Expiry writes no event: readers know the entry's time to live."""
    version = (await put(storage_stub, key(), ttl=seconds(0.03))).revision

    async def expired() -> bool:
        return not await is_alive(storage_stub, key())

    await until_async(expired)
    assert await log_of(storage) == [Event(version, "put", C1, fields=("*",))]


async def test_concurrent_writes_have_one_event_each(storage: Storage, storage_stub: Stub) -> None:
    """The log has exactly the acknowledged writes, in the order of their revisions."""
    stub = storage_stub
    puts = await asyncio.gather(*(put(stub, key(f"c{i % 10}")) for i in range(200)))
    ends = await asyncio.gather(*(invalidate(stub, key(f"c{i % 10}")) for i in range(20)))
    events = await log_of(storage)
    revisions = [event.revision for event in events]
    assert revisions == sorted(set(revisions))
    assert set(revisions) == {each.revision for each in puts} | {each.revision for each in ends}
    assert {answer.entry.version for answer in puts} == {
        event.revision for event in events if event.kind == "put"
    }


async def test_partitions_have_logs_of_their_own(storage: Storage, storage_stub: Stub) -> None:
    """An event is in the log of its tenant's partition, and in no other one."""
    tenants = [f"t{i}" for i in range(20)]
    for tenant in tenants:
        await put(storage_stub, key(tenant=tenant))
    for partition in range(storage.partitions):
        events = (await storage.tail(partition, 0, 100)).events
        found = [event.key.tenant_id for event in events if event.key]
        assert found == [t for t in tenants if storage.partition_of(t) == partition]


async def test_any_name_survives_in_an_event(storage: Storage, storage_stub: Stub) -> None:
    """Events name keys, tenants and scopes exactly, with any characters."""
    name = "a:b %3A 日本語😀"
    version = (await put(storage_stub, key(name, tenant=name, scope=name))).revision
    floor = (await invalidate_tenant(storage_stub, name, name)).revision
    assert await log_of(storage, name) == [
        Event(version, "put", Key(name, name, name), fields=("*",)),
        Event(floor, "floor", tenant_id=name, scope=name),
    ]


async def test_a_log_is_read_piece_by_piece(storage: Storage, storage_stub: Stub) -> None:
    """`after` is exclusive and `limit` counts events: pages join without a gap or an overlap."""
    for i in range(10):
        await put(storage_stub, key(f"c{i}"))
    whole = await log_of(storage)
    partition = storage.partition_of("acme")
    pieces: list[Event] = []
    while piece := (await storage.tail(partition, pieces[-1].revision if pieces else 0, 3)).events:
        pieces += piece
    assert pieces == whole
    assert len(whole) == 10
    assert await log_of(storage, after=whole[-1].revision) == []


async def test_a_log_is_bounded(settings: Settings) -> None:
    """About `log_length` events are kept, older ones are dropped, and revisions go on."""
    storage = open_storage(
        settings.store.get_secret_value(),
        partitions=1,
        prefix=settings.store_prefix,
        log_length=100,
    )
    try:
        async with serving_from(storage, settings) as stub:
            revisions = [(await put(stub, key(f"c{i % 3}"))).revision for i in range(400)]
        # A reader that starts before the oldest kept event learns that events are lost.
        assert await storage.tail(0, 0, 10_000) == Tail(revisions[-1], [], Gap.TRIMMED)
        events = (await storage.tail(0, revisions[-100], 10_000)).events
        assert [event.revision for event in events] == revisions[-99:]
    finally:
        await storage.close()


async def test_a_log_that_is_full(settings: Settings) -> None:
    """A log that has just as many events as it keeps has lost none."""
    storage = open_storage(
        settings.store.get_secret_value(),
        partitions=1,
        prefix=settings.store_prefix,
        log_length=5,
    )
    try:
        async with serving_from(storage, settings) as stub:
            revisions = [(await put(stub, key())).revision for _ in range(5)]
        for position, after in ((0, revisions), (revisions[0], revisions[1:])):
            tail = await storage.tail(0, position, 10)
            assert [event.revision for event in tail.events] == after
            assert tail.gap is None
    finally:
        await storage.close()


async def test_what_was_seen_is_looked_for(storage: Storage, storage_stub: Stub) -> None:
    """A read of the log finds every revision that was announced, anywhere in the log."""
    seen = [(await put(storage_stub, key())).revision for _ in range(5)]
    partition = storage.partition_of("acme")
    tail = await storage.tail(partition, seen[1], 10, seen=[0, *seen])
    assert [event.revision for event in tail.events] == seen[2:]


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_what_was_seen_and_is_not_there(storage: Storage, storage_stub: Stub) -> None:
    """If any announced revision is missing, not only the last one, the log is another one (S3)."""
    seen = [(await put(storage_stub, key())).revision for _ in range(5)]
    partition = storage.partition_of("acme")
    tail = await storage.tail(partition, seen[1], 10, seen=[seen[2] + (1 << 19), seen[4]])
    assert tail == Tail(seen[4], [], Gap.CHANGED)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(("XTRIM", "log", "MAXLEN", 2), id="trimmed"),
        pytest.param(("XTRIM", "log", "MAXLEN", 0), id="emptied"),
        pytest.param(("DEL", "log"), id="evicted"),
        pytest.param(("HDEL", "state", "first"), id="written by a server that did not record it"),
        pytest.param(("HSET", "state", "first", "x"), id="overwritten"),
    ],
)
@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_the_first_events_are_lost(
    storage: Storage, storage_stub: Stub, settings: Settings, loss: tuple[str | int, ...]
) -> None:
    """A reader from the beginning learns that the first events may be lost, however few they were.

    A follower begins there if its partition had no write when it began.
    """
    revisions = [(await put(storage_stub, key())).revision for _ in range(3)]
    partition = storage.partition_of("acme")
    command, kind, *rest = loss
    with RedisClient(settings.store.get_secret_value()) as redis:
        redis(command, f"{hash_tag(settings.store_prefix, partition)}:{kind}", *rest)
    tail = await storage.tail(partition, 0, 10)
    assert (tail.gap is not None, tail.revision, tail.events) == (True, revisions[-1], [])


@pytest.mark.parametrize("loss", [("XTRIM", "MAXLEN", 0), ("DEL",)], ids=["emptied", "evicted"])
@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_log_that_lost_all_of_its_events(
    storage: Storage, storage_stub: Stub, settings: Settings, loss: tuple[str | int, ...]
) -> None:
    """Its readers are told once, not with each read, and continue from the last revision."""
    await put(storage_stub, key())
    reached = (await put(storage_stub, key())).revision
    partition = storage.partition_of("acme")
    with RedisClient(settings.store.get_secret_value()) as redis:
        redis(loss[0], f"{hash_tag(settings.store_prefix, partition)}:log", *loss[1:])
    assert await storage.tail(partition, reached, 10) == Tail(reached, [], Gap.CHANGED)
    assert await storage.tail(partition, reached, 10) == Tail(reached, [])
    assert (await storage.tail(partition, reached - 1, 10)).gap is Gap.TRIMMED
    later = (await put(storage_stub, key())).revision
    assert [event.revision for event in (await storage.tail(partition, reached, 10)).events] == [
        later
    ]


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_read_of_another_order(
    storage: Storage, storage_stub: Stub, settings: Settings
) -> None:
    """What is read for watchers is of a log that has the position they know (N9)."""
    known = (await put(storage_stub, key())).revision
    partition = storage.partition_of("acme")
    assert (await storage.read_within([C1], SIZES_ONLY, position=known)).revision == known
    with RedisClient(settings.store.get_secret_value()) as redis:
        redis("XDEL", f"{hash_tag(settings.store_prefix, partition)}:log", to_log_id(known))
    await put(storage_stub, key("c2"))
    with pytest.raises(StoreError) as raised:
        await storage.read_within([C1], SIZES_ONLY, position=known)
    assert raised.value.code is StatusCode.UNAVAILABLE
