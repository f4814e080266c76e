"""Watch: the current value first, then every change in order, then progress."""

import asyncio

import pytest
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ContextEntry, ContextKey
from relevo.v1.store_pb2 import ResetReason, Subscribe, WatchRequest, WatchResponse
from relevo.v1.store_pb2_grpc import ContextStoreStub
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import principal
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    key,
    put,
    seconds,
)
from support.clients.watching import Watch
from support.contexts import of_size
from support.failures import failure_of
from support.redis.client import RedisClient
from support.servers.serving import serving, stub_of
from support.waiting import until_async


async def test_the_current_value_comes_first(stub: Stub, watch: Watch) -> None:
    """A Subscribe is answered with the entry as from a Get, then with progress that includes it."""
    revision = (await put(stub, key(), context(user_id="u"))).revision
    answer = await watch.answer(watch.subscribe(key()))
    expected = (await get(stub, key())).entry
    assert answer.entry.ttl.ToMilliseconds() == pytest.approx(
        expected.ttl.ToMilliseconds(), abs=5000
    )
    for entry in (answer.entry, expected):
        entry.ClearField("ttl")
        entry.ClearField("expire_time")
    assert answer.entry == expected
    await watch.progress(revision)


async def test_what_is_not_there(stub: Stub, watch: Watch) -> None:
    """A Subscribe for an absent entry is answered as absent, and its creation is published."""
    clock = (await put(stub, key("clock"))).revision
    answer = await watch.answer(watch.subscribe(key()))
    assert answer.invalidated.key == key()
    assert answer.invalidated.revision >= clock
    assert not answer.invalidated.is_changed
    version = (await put(stub, key())).revision
    news = await watch.news()
    assert (news.entry.version, news.answers) == (version, 0)
    assert news.entry.partition == answer.invalidated.partition


async def test_a_version_that_is_known(stub: Stub, watch: Watch) -> None:
    """If the client has the current version, the answer omits the context."""
    first = (await put(stub, key(), context(user_id="u"))).revision
    second = (await put(stub, key(), context(user_id="v"))).revision
    known = await watch.answer(watch.subscribe(key(), known_version=second))
    assert known.entry.version == second
    assert not known.entry.HasField("context")
    assert known.entry.HasField("ttl")
    other = await watch.answer(watch.subscribe(key(), known_version=first))
    assert other.entry.context.user_id == "v"


async def test_every_change_in_order(stub: Stub, watch: Watch) -> None:
    """Puts and ends arrive in the order of their revisions, with progress after each."""
    await watch.answer(watch.subscribe(key()))
    seen: list[tuple[str, int]] = []
    expected: list[tuple[str, int]] = []
    for i in range(5):
        version = (await put(stub, key(), context(user_id=f"u{i}"))).revision
        expected.append((f"u{i}", version))
        news = await watch.news()
        seen.append((news.entry.context.user_id, news.entry.version))
        await watch.progress(version)
    assert seen == expected
    end = (await invalidate(stub, key())).revision
    news = await watch.news()
    assert (news.invalidated.key, news.invalidated.revision) == (key(), end)
    await watch.progress(end)


async def test_progress_comes_with_its_message() -> None:
    """Only the last of several waiting messages carries the stream's progress."""
    outbox = Outbox(1 << 20)
    taking = asyncio.create_task(outbox.take(60))
    await asyncio.sleep(0)
    for version in (4, 5):
        outbox.put(Message.of(WatchResponse(entry=ContextEntry(version=version))))
    outbox.progress(1, 5, 0, soon=True)
    async with asyncio.timeout(10):
        taken = await taking, await outbox.take(60)
    first, last = (WatchResponse.FromString(each or b"") for each in taken)
    assert (first.entry.version, list(first.positions)) == (4, [])
    assert (last.entry.version, last.positions[0].revision) == (5, 5)
    assert outbox.next() is None


@pytest.mark.parametrize("scope", ["", "conversation"])
async def test_a_whole_tenant_that_ends(stub: Stub, watch: Watch, scope: str) -> None:
    """A floor is one message for all keys of the tenant, and is not sent for other tenants."""
    other = ContextKey(scope="conversation", tenant_id="other", id="c1")
    for each in (key(), key("c2"), other):
        await put(stub, each)
        await watch.answer(watch.subscribe(each))
    floor = (await invalidate_tenant(stub, "acme", scope)).revision
    news = await watch.news()
    assert news.invalidated.tenant.tenant_id == "acme"
    assert news.invalidated.tenant.scope == scope
    assert news.invalidated.revision == floor
    version = (await put(stub, other)).revision
    assert (await watch.news()).entry.version == version


async def test_a_floor_of_another_scope(stub: Stub, watch: Watch) -> None:
    """The floor of a scope is not sent to streams without a subscription in it."""
    await put(stub, key())
    await watch.answer(watch.subscribe(key()))
    await invalidate_tenant(stub, "acme", "agent_config")
    version = (await put(stub, key())).revision
    assert (await watch.news()).entry.version == version


async def test_a_context_that_is_too_large_to_push(stub: Stub, watch: Watch) -> None:
    """For a context above 16 KiB, only the change is pushed; an answer has the whole context."""
    await watch.answer(watch.subscribe(key()))
    small, large = of_size(16 << 10), of_size((16 << 10) + 1)
    await put(stub, key(), small)
    assert (await watch.news()).entry.HasField("context")
    version = (await put(stub, key(), large)).revision
    news = await watch.news()
    assert news.invalidated.is_changed
    assert news.invalidated.revision < version
    answer = await watch.answer(watch.subscribe(key()))
    assert answer.entry.version == version
    assert answer.entry.context.ByteSize() > large.ByteSize()  # the store adds the times


async def test_unsubscribe(stub: Stub, watch: Watch) -> None:
    """After an Unsubscribe, the key's changes are no longer sent; those of other keys are."""
    for each in (key(), key("c2")):
        await watch.answer(watch.subscribe(each))
    watch.unsubscribe(key())
    await watch.pong(watch.ping())
    await put(stub, key())
    version = (await put(stub, key("c2"))).revision
    news = await watch.news()
    assert (news.entry.key, news.entry.version) == (key("c2"), version)


async def test_signs_of_life(watch: Watch) -> None:
    """A ping is answered in each partition with subscriptions, even if no event happens."""
    await watch.answer(watch.subscribe(key()))
    for _ in range(3):
        await watch.pong(watch.ping())


async def test_a_touch(stub: Stub, watch: Watch) -> None:
    """A Touch restarts the time to live in a sliding scope, and changes no version."""
    agent = key("a1", scope="agent_config")
    for each in (key(), agent):
        await put(stub, each, ttl=seconds(100))
    versions = [(await get(stub, each)).entry.version for each in (key(), agent)]
    await asyncio.sleep(0.05)  # the test waits for time itself
    before = (await get(stub, agent)).entry.ttl.ToMilliseconds()

    async def is_renewed() -> bool:  # an entry without a Touch has less and less time
        for each in (key(), agent):
            watch.touch(each)
        await watch.answer(watch.subscribe(key()))
        return (await get(stub, key())).entry.ttl.ToMilliseconds() > before

    await until_async(is_renewed)
    assert (await get(stub, agent)).entry.ttl.ToMilliseconds() <= before
    assert versions == [(await get(stub, each)).entry.version for each in (key(), agent)]


async def test_a_position_that_the_store_has_not_reached(stub: Stub, watch: Watch) -> None:
    """A client with a later position than the store's learns that the order was lost."""
    revision = (await put(stub, key())).revision
    number = watch.subscribe(key(), position=revision + (1 << 40))
    reset = (await watch.news()).reset
    assert reset.reason == ResetReason.RESET_REASON_ORDER_CHANGED
    assert (await watch.answer(number)).entry.version == revision


async def test_a_watcher_that_does_not_read(settings: Settings) -> None:
    """If a watcher's messages do not fit, all of them are dropped, and it gets a reset."""
    small = settings.model_copy(update={"watch_buffer_bytes": 50_000})
    # Without the probe, gRPC itself buffers no more than 64 KiB that nobody reads.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with (
        Server(small) as server,
        stub_of(server.address) as stub,
        aio.insecure_channel(server.address, options) as channel,
        Watch(ContextStoreStub(channel)) as watch,
    ):
        await watch.answer(watch.subscribe(key()))
        large = of_size(16 << 10)
        version = max([(await put(stub, key(), large)).revision for _ in range(60)])
        while (news := await watch.news()).WhichOneof("event") != "reset":
            assert news.entry.version <= version
        assert news.reset.reason == ResetReason.RESET_REASON_SLOW_WATCHER
        watch.subscribe(key())
        while (news := await watch.news()).entry.version != version:
            pass


@pytest.mark.parametrize(
    "request_, field",
    [
        (WatchRequest(), "request"),
        (WatchRequest(subscribe=Subscribe(key=ContextKey(scope="s", id="i"))), "tenant_id"),
        (WatchRequest(subscribe=Subscribe(key=key(), known_version=-1)), "known_version"),
    ],
    ids=["empty", "key", "version"],
)
async def test_a_malformed_request(watch: Watch, request_: WatchRequest, field: str) -> None:
    """A malformed request ends the stream with INVALID_ARGUMENT and the field's name."""
    watch.send(request_)
    failure = await failure_of(watch.news())
    assert failure.code is StatusCode.INVALID_ARGUMENT
    assert any(field in path for path, _ in failure.violations)


async def test_a_server_that_stops(settings: Settings) -> None:
    """If the server stops, streams end at once with UNAVAILABLE, and do not delay it."""
    async with Server(settings) as server, stub_of(server.address) as stub:
        watch = Watch(stub)
        await watch.answer(watch.subscribe(key()))
        stopping = asyncio.create_task(server.__aexit__())
        failure = await failure_of(watch.news())
        assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "SERVER_STOPPING")
        await asyncio.wait_for(stopping, 5)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_data_that_is_gone(settings: Settings, stub: Stub, watch: Watch) -> None:
    """If Redis loses all data, each partition is reset, and the stream shows the new state."""
    await put(stub, key())
    await watch.answer(watch.subscribe(key()))
    with RedisClient(settings.store.get_secret_value()) as redis:
        redis.forget(settings.store_prefix)
    reset = (await watch.news()).reset
    assert reset.reason == ResetReason.RESET_REASON_ORDER_CHANGED
    answer = await watch.answer(watch.subscribe(key()))
    assert answer.invalidated.key == key()
    version = (await put(stub, key())).revision
    assert (await watch.news()).entry.version == version


async def test_many_watchers(stub: Stub) -> None:
    """A hundred streams get the same changes in the same order."""
    watches = [Watch(stub) for _ in range(100)]
    try:
        for watch in watches:
            await watch.answer(watch.subscribe(key()))
        versions = [(await put(stub, key(), context(user_id=f"{i}"))).revision for i in range(3)]
        for watch in watches:
            seen: list[int] = []
            while not seen or seen[-1] < versions[-1]:
                seen.append((await watch.news()).entry.version)
            # A stream may skip a value that was superseded before it was read.
            assert seen == [version for version in versions if version in seen]
    finally:
        for watch in watches:
            watch.call.cancel()


async def test_a_stream_needs_a_token(settings: Settings) -> None:
    """A stream without a known token ends with UNAUTHENTICATED."""
    principals = (principal("t", "acme"),)
    async with serving(settings.model_copy(update={"principals": principals})) as stub:
        watch = Watch(stub)
        with pytest.raises(aio.AioRpcError) as caught:
            await watch.news()
        assert caught.value.code() is StatusCode.UNAUTHENTICATED
