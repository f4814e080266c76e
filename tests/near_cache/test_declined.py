"""Subscriptions for which a tenant's share has no room: declined, on a stream that stays open."""

import itertools
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Invalidated, Position, Subscribe, WatchRequest, WatchResponse
from relevo_client import CacheOptions, ContextKey, ContextRef, ExecutionContext
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.stream_rules import Backoff
from relevo_server.quotas import Quotas
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import Stub, key, put
from support.clients.either import Either, opened
from support.clients.watching import Watch
from support.failures import failure_of
from support.servers.serving import stub_of
from support.servers.shapes import Kind
from support.waiting import until_async

FOREIGN = key(tenant="globex")


def limited(**quotas: int) -> Settings:
    """Settings with these limits for `acme`."""
    tenants = [{"pattern": "acme", **quotas}]
    quotas_of_all = Quotas.model_validate({"tenants": tenants, "principal": {"streams": 1}})
    return Settings(listen="127.0.0.1:0", grace=0.1, quotas=quotas_of_all)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on which `acme` may have two subscriptions."""
    async with Server(limited(subscriptions=2)) as running:
        yield running


async def is_declined(watch: Watch, number: int) -> bool:
    """Whether the answer with this number declines a subscription; else it has a value."""
    answer = await watch.answer(number)
    if answer.WhichOneof("event") == "entry":
        return False
    assert answer.invalidated.is_changed
    return True


async def test_more_subscriptions_than_the_share(stub: Stub) -> None:
    """Over its share a tenant's subscription is declined; all others of the stream go on.

    A declined key has no events, and the next subscription has room once another ended.
    """
    keys = [key(f"c{i}") for i in range(3)]
    for each in (*keys, FOREIGN):
        await put(stub, each)
    async with Watch(stub) as watch:
        for each, expected in ((keys[0], False), (keys[1], False), (keys[2], True)):
            assert await is_declined(watch, watch.subscribe(each)) is expected
        assert not await is_declined(watch, watch.subscribe(keys[0]))  # it has this one
        assert not await is_declined(watch, watch.subscribe(FOREIGN))
        await put(stub, keys[2])
        await put(stub, keys[1])
        assert (await watch.news()).entry.key == keys[1]
        watch.unsubscribe(keys[1])
        assert not await is_declined(watch, watch.subscribe(keys[2]))
        await put(stub, keys[2])
        assert (await watch.news()).entry.key == keys[2]


async def test_the_end_of_a_stream_gives_room(stub: Stub) -> None:
    """The share counts the subscriptions of all streams, and those of an ended one no more."""
    for i in range(3):
        await put(stub, key(f"c{i}"))
    async with Watch(stub) as other:
        async with Watch(stub) as watch:
            for i in range(2):
                assert not await is_declined(watch, watch.subscribe(key(f"c{i}")))
            assert await is_declined(other, other.subscribe(key("c2")))

        async def has_room() -> bool:
            return not await is_declined(other, other.subscribe(key("c2")))

        await until_async(has_room)


async def test_a_stream_whose_subscriptions_are_all_declined_lives(stub: Stub) -> None:
    """Its pings are answered, so its client does not take it for dead, and opens no other."""
    await put(stub, key("c0"))
    async with Watch(stub) as other, Watch(stub) as watch:
        for i in range(2):
            await other.answer(other.subscribe(key(f"c{i}")))
        assert await is_declined(watch, watch.subscribe(key("c2")))
        for _ in range(3):
            await watch.pong(watch.ping())


async def test_streams_of_a_tenant() -> None:
    """So many streams may watch a tenant's entries; the next one may watch others'."""
    async with Server(limited(watch_streams=1)) as server, stub_of(server.address) as stub:
        await put(stub, key())
        await put(stub, FOREIGN)
        async with Watch(stub) as one, Watch(stub) as two:
            for _ in range(2):
                assert not await is_declined(one, one.subscribe(key()))
            assert await is_declined(two, two.subscribe(key()))
            assert not await is_declined(two, two.subscribe(FOREIGN))


def putting(key: ContextKey, user_id: str, client: Any) -> Any:
    """Put a context."""
    return client.put(key, ExecutionContext(user_id=user_id))


def resolving(ref: ContextRef, client: Any) -> Any:
    """Resolve a reference."""
    return client.resolve(ref)


async def test_a_near_cache_whose_keys_are_declined(
    server: Server, kind: Kind, client: Either
) -> None:
    """A client asks the store for the declined keys, always as new as it is; others are local.

    It keeps its one stream.
    """
    foreign = ContextKey("conversation", "globex", "c1")
    keys = [ContextKey("conversation", "acme", f"c{i}") for i in range(3)]
    async with opened(kind, server.address) as writer:
        for i, each in itertools.product(range(5), (*keys, foreign)):
            put_it = partial(putting, each, f"u{i}")
            await writer.ask(put_it)
            ref = await writer.ask(put_it)
            found = await client.ask(partial(resolving, ref))
            assert found.context.user_id == f"u{i}"
        for each in (*keys[:2], foreign):
            await client.local(each)
        assert client.peek(keys[2]) is None
    assert client.cache_counts.streams == 1


async def test_streams_of_a_principal() -> None:
    """Over its share a principal's Watch ends with QUOTA_EXCEEDED, and a delay of seconds."""
    settings = limited().model_copy(update={"principals": (principal("one", "*"),)})
    async with Server(settings) as server, stub_of(server.address) as stub:
        one = stub.Watch(metadata=bearer("one"))
        await one.write(WatchRequest(subscribe=Subscribe(key=key(), number=1)))
        await one.read()
        two = stub.Watch(metadata=bearer("one"))
        failure = await failure_of(two.read())
        assert failure.reason == "QUOTA_EXCEEDED"
        assert failure.metadata == {
            "principal": "one", "quota": "principal_streams", "limit": "1",
        }  # fmt: skip
        assert failure.retry_after is not None
        assert 5 <= failure.retry_after <= 7.5
        one.cancel()


def test_a_client_waits_as_long_as_the_store_asks() -> None:
    """Before a refused stream is opened again, the store's delay is over; never earlier."""
    backoff = Backoff(2.0)
    assert all(5 <= backoff.after(0.01, 5.0) <= 7.5 for _ in range(100))
    assert backoff.after(0.01) < 5


def test_how_often_a_client_asks_again() -> None:
    """A lookup subscribes to a declined key again once in 5 s: the reason may last.

    An answer with an entry ends this.
    """
    here = ContextKey("conversation", "acme", "c1")
    cache = NearCache(CacheOptions())
    cache.opened(0)

    def asked(now: float) -> int:
        """The number of a Subscribe after a lookup, 0 for none. Pings are answered."""
        cache.ping(now)
        assert cache.lookup(here, 0, now) is None
        numbers = [0]
        for request in cache.requests():
            if request.HasField("ping"):
                position = Position(partition=1, ping=request.ping.number)
                cache.received(WatchResponse(positions=[position]))
            numbers.append(request.subscribe.number)
        return numbers[-1] or max(numbers)

    def decline(number: int) -> None:
        """Decline a Subscribe."""
        declined = Invalidated(key=here.to_message(), partition=1, is_changed=True)
        cache.received(WatchResponse(invalidated=declined, answers=number))

    for now in (0.0, 0.1):
        number = asked(now)
        assert number
        decline(number)
    assert not any(asked(1.0 + i / 10) for i in range(40))
    number = asked(5.2)
    assert number
    entry = ContextEntry(key=here.to_message(), partition=1, version=7)
    entry.ttl.FromSeconds(60)
    entry.context.user_id = "u"
    cache.received(WatchResponse(entry=entry, answers=number))
    assert cache.lookup(here, 0, 5.3)
