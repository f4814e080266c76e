"""Keys that a Watch stream's caller may not read cost no other key of the stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.context_pb2 import ContextKey as KeyMessage
from relevo.v1.store_pb2 import (
    GetRequest,
    Invalidated,
    PutRequest,
    Subscribe,
    WatchRequest,
    WatchResponse,
)
from relevo_client import AccessDeniedError, CacheOptions, ContextKey
from relevo_server.access.callers import caller_of
from relevo_server.access.sessions import Session
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.identities import Principal
from relevo_server.keys import Key
from relevo_server.quotas import Quotas
from relevo_server.server import Server
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.storage.memory.storage import MemoryStorage
from relevo_server.wire.contexts import message_of
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.either import KINDS, opened
from support.clients.watching import Watch
from support.failures import failure_of
from support.servers.serving import serving_service, stub_of
from support.servers.shapes import Kind
from support.waiting import until_async

READER = principal("reader", "acme", roles=("read:conversation",))
PRINCIPALS = (READER, principal("owner", "*"))
OWN = key()
SCOPES = "conversation", "agent_config"
DENIED = {
    "another tenant": key(tenant="globex"),
    "another scope": key(scope="agent_config"),
}
each_denied = pytest.mark.parametrize("denied", DENIED.values(), ids=DENIED.keys())


@pytest.fixture
def store_url() -> str:
    """Memory, as streams are the same for every backend."""
    return "memory://"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a reader of one scope of one tenant, and an owner of everything.

    The times to live of both scopes slide.
    """
    ttl = settings.ttl.model_copy(update={"sliding": SCOPES})
    return settings.model_copy(update={"principals": PRINCIPALS, "ttl": ttl})


@pytest.fixture
async def watch(stub: Stub) -> AsyncIterator[Watch]:
    """A stream of the reader's, with a subscription to an entry of its own."""
    await put(stub, OWN)
    async with Watch(stub, bearer("reader")) as watch:
        await watch.answer(watch.subscribe(OWN))
        yield watch


async def put(stub: Stub, at: KeyMessage) -> int:
    """Put an entry. Returns its version."""
    request = PutRequest(key=at, context=context(user_id="u"))
    return (await stub.Put(request, metadata=bearer("owner"), timeout=TIMEOUT)).revision


async def goes_on(stub: Stub, watch: Watch) -> None:
    """See that the stream tells the next change of the reader's own entry, and nothing before."""
    version = await put(stub, OWN)
    assert (await watch.news()).entry.version == version


def is_declined(message: WatchResponse, at: KeyMessage) -> bool:
    """Whether a message says of a key only that the store has to be asked for its entry."""
    told = message.invalidated
    return told.key == at and told.is_changed


def is_larger(outbox: Outbox, size: int) -> bool:
    """Whether more bytes than these wait to be sent."""
    return outbox.size > size


async def reloaded(server: Server, settings: Settings, *principals: Principal) -> None:
    """Let a server know other principals."""
    await server.reload(settings.model_copy(update={"principals": principals}))


@each_denied
async def test_the_answer_tells_nothing(stub: Stub, denied: KeyMessage) -> None:
    """The answer is the same whether there is an entry or not: no value, version or position."""
    answers: list[WatchResponse] = []
    async with Watch(stub, bearer("reader")) as watch:
        for exists in (False, True):
            if exists:
                await put(stub, denied)
            for known_version in (0, 7):
                number = watch.subscribe(denied, known_version=known_version, position=7)
                answers.append(await watch.answer(number))
        # Nor do later messages tell.
        await put(stub, denied)
        for _ in range(3):
            await watch.pong(watch.ping())
        assert watch.reached == 0
    for answer in answers:
        assert is_declined(answer, denied)
        assert (answer.invalidated.revision, list(answer.positions)) == (0, [])
        answer.answers = 1
    assert [each for each in answers if each != answers[0]] == []


@each_denied
async def test_other_subscriptions_go_on(stub: Stub, watch: Watch, denied: KeyMessage) -> None:
    """Whatever a stream asks about a key that is denied, its other keys are watched."""
    assert is_declined(await watch.answer(watch.subscribe(denied)), denied)
    await goes_on(stub, watch)
    watch.touch(denied)
    watch.unsubscribe(denied)
    await put(stub, denied)
    await goes_on(stub, watch)


@each_denied
async def test_a_get_says_why(stub: Stub, denied: KeyMessage) -> None:
    """The client is told the reason by the store's answer to its Get."""
    call = stub.Get(GetRequest(key=denied), metadata=bearer("reader"), timeout=TIMEOUT)
    expected = "TENANT_DENIED" if denied.tenant_id != OWN.tenant_id else "ROLE_DENIED"
    assert (await failure_of(call)).reason == expected


async def test_a_stream_with_denied_keys_only_lives(stub: Stub) -> None:
    """Its pings are answered, before its first subscription and after its last one, too."""
    async with Watch(stub, bearer("reader")) as watch:
        await watch.answer(watch.subscribe(DENIED["another tenant"]))
        await watch.pong(watch.ping())
        version = await put(stub, OWN)
        assert (await watch.answer(watch.subscribe(OWN))).entry.version == version
        await watch.pong(watch.ping())
        watch.unsubscribe(OWN)
        await watch.pong(watch.ping())


@each_denied
async def test_a_touch_without_the_right(
    watch: Watch, denied: KeyMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prolongs nothing, and the stream goes on."""
    touched: list[Any] = []
    touch = MemoryStorage.touch

    async def noted(storage: MemoryStorage, at: Any) -> None:
        touched.append(at)
        await touch(storage, at)

    monkeypatch.setattr(MemoryStorage, "touch", noted)
    watch.touch(denied)
    watch.touch(OWN)
    await watch.pong(watch.ping())
    assert [(each.tenant_id, each.scope) for each in touched] == [("acme", "conversation")]


async def test_denied_keys_take_no_share(settings: Settings) -> None:
    """A denied Subscribe counts neither as one of its tenant's nor as one of the stream's."""
    quotas = Quotas.model_validate({"default": {"subscriptions": 1}})
    limits = settings.model_copy(update={"quotas": quotas, "watch_max_keys": 1})
    foreign = DENIED["another tenant"]
    async with Server(limits) as server, stub_of(server.address) as stub:  # noqa: SIM117
        async with Watch(stub, bearer("reader")) as watch, Watch(stub, bearer("owner")) as other:
            for i in range(5):
                denied = key(f"c{i}", tenant=foreign.tenant_id)
                assert is_declined(await watch.answer(watch.subscribe(denied)), denied)
            version = await put(stub, OWN)
            assert (await watch.answer(watch.subscribe(OWN))).entry.version == version
            version = await put(stub, foreign)
            assert (await other.answer(other.subscribe(foreign))).entry.version == version


LESS = {
    "another tenant": (
        principal("reader", "acme", "globex"),
        principal("reader", "acme"),
    ),
    "another scope": (
        principal("reader", "acme"),
        principal("reader", "acme", roles=("read:conversation",)),
    ),
}


@pytest.mark.parametrize("of", DENIED)
async def test_a_right_that_is_withdrawn_and_given_back(
    server: Server, settings: Settings, stub: Stub, of: str
) -> None:
    """The keys concerned are declined from then on, and watched again once the right is back.

    What waits to be sent about them is not sent.
    """
    (before, after), gone = LESS[of], DENIED[of]
    await reloaded(server, settings, before, PRINCIPALS[1])
    await put(stub, OWN)
    first = await put(stub, gone)
    async with Watch(stub, bearer("reader")) as watch:
        await watch.answer(watch.subscribe(OWN))
        assert (await watch.answer(watch.subscribe(gone))).entry.version == first
        await reloaded(server, settings, after, PRINCIPALS[1])
        told = await watch.news()
        assert is_declined(told, gone)
        assert told.invalidated.revision >= first
        assert told.answers == 0
        await put(stub, gone)
        await goes_on(stub, watch)
        assert is_declined(await watch.answer(watch.subscribe(gone)), gone)
        await reloaded(server, settings, before, PRINCIPALS[1])
        version = await put(stub, gone)
        assert (await watch.answer(watch.subscribe(gone))).entry.version == version
        await goes_on(stub, watch)


async def test_a_right_that_is_withdrawn_before_the_answer(
    server: Server, settings: Settings, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Subscribe without an answer is declined by its number: the client waits for one."""
    await reloaded(server, settings, LESS["another tenant"][0], PRINCIPALS[1])
    gone = DENIED["another tenant"]
    await put(stub, gone)

    is_asked = asyncio.Event()

    async def never(*_: Any, **__: Any) -> Any:
        is_asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(MemoryStorage, "read_within", never)
    async with Watch(stub, bearer("reader")) as watch:
        number = watch.subscribe(gone)
        await until_async(is_asked.is_set)
        await reloaded(server, settings, READER, PRINCIPALS[1])
        assert is_declined(await watch.answer(number), gone)


async def test_what_waits_to_be_sent_is_withdrawn(settings: Settings) -> None:
    """Values of keys whose right is gone are not sent, though they wait; the others are.

    An answer among them is replaced by one that declines the key.
    """
    gone, callers = DENIED["another tenant"], [caller_of(LESS["another tenant"][0])]
    storage = MemoryStorage(settings.partitions, log_length=1000, request_ttl_ms=1000)
    service = ContextStore(storage, settings)
    watching = service.parts.watching
    session = Session(callers[0], lambda: callers[-1])

    async def requests() -> AsyncIterator[bytes]:
        for number, at in enumerate((OWN, gone), start=1):
            subscribe = Subscribe(key=at, number=number)
            yield WatchRequest(subscribe=subscribe).SerializeToString()
        await asyncio.Event().wait()

    async with serving_service(service) as stub:
        for at in (OWN, gone):
            await put(stub, at)
        stream = watching.stream(requests(), session, "peer")
        async with aclosing(stream):
            first = WatchResponse.FromString(await anext(stream))
            (connection,) = watching.connections
            # The answer of the other key waits, or what replaces it.
            await until_async(lambda: first.answers == 2 or connection.outbox.size > 0)
            for at in (gone, OWN):
                has_more = partial(is_larger, connection.outbox, connection.outbox.size)
                await put(stub, at)
                await until_async(has_more)
            callers.append(caller_of(READER))
            session.review()
            messages = [first]
            while not is_declined(messages[-1], gone):
                messages.append(WatchResponse.FromString(await anext(stream)))
    entries = [each.entry.key for each in messages[1:] if each.HasField("entry")]
    assert entries
    assert gone not in entries
    assert messages[-1].answers in (0, 2)
    assert (messages[-1].answers == 2) == (first.answers != 2)


def test_messages_that_are_withdrawn() -> None:
    """Messages about keys leave the queue; the numbers of answers among them are returned."""
    outbox = Outbox(1 << 20)
    gone, other = Key("conversation", "globex", "c1"), Key("conversation", "acme", "c1")
    for i, each in enumerate((gone, other, gone), start=1):
        entry = ContextEntry(key=message_of(each), version=i)
        outbox.put(Message.of(WatchResponse(entry=entry, answers=i), each, is_value=True))
        ended = WatchResponse(invalidated=Invalidated(key=message_of(each)))
        outbox.put(Message.of(ended, each))
    assert outbox.withdraw({gone}) == {gone: 3}
    sent = [WatchResponse.FromString(each) for each in iter(outbox.next, None)]
    assert [each.entry.version or each.invalidated.key.tenant_id for each in sent] == [2, "acme"]
    assert outbox.size == 0


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of client."""
    kind: Kind = request.param
    return kind


async def test_a_near_cache_with_one_denied_key(server: Server, stub: Stub, kind: Kind) -> None:
    """Of 100 keys, 99 are served from memory; the denied one is refused by the store each time."""
    keys = [ContextKey("conversation", "acme", f"c{i}") for i in range(99)]
    foreign = ContextKey("conversation", "globex", "c1")
    for each in (*keys, foreign):
        await put(stub, each.to_message())
    async with opened(kind, server.address, token="reader", cache=CacheOptions()) as client:  # noqa: S106
        for each in (foreign, *keys):
            if each != foreign:
                await client.local(each)
            else:
                client.peek(each)
        misses = client.cache_counts.misses
        for _ in range(3):
            error = await client.raised(lambda client: client.resolve(foreign))
            assert isinstance(error, AccessDeniedError)
            for each in keys:
                assert client.peek(each) is not None
        assert client.cache_counts.misses == misses + 3
        assert client.cache_counts.streams == 1
