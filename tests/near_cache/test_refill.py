"""Refill: answers wait for room, however many are requested, and no watcher loops (N4, N5)."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from operator import methodcaller

import pytest
from grpc import aio
from relevo.v1.context_pb2 import ContextKey as KeyMessage
from relevo.v1.store_pb2 import WatchResponse
from relevo.v1.store_pb2_grpc import ContextStoreStub
from relevo_client import ContextKey
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import Stub, key, put
from support.clients.either import Either
from support.clients.watching import Watch
from support.contexts import of_size
from support.redis.client import RedisClient
from support.servers.serving import stub_of

BUFFER = 128 << 10
_PROBES = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
"""Without the probe, gRPC itself buffers no more than 64 KiB that nobody reads."""

pytestmark = pytest.mark.parametrize("store_url", ["redis"], indirect=True)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The server buffers little for each watcher."""
    return settings.model_copy(update={"watch_buffer_bytes": BUFFER})


@pytest.fixture
async def slow(server: Server) -> AsyncIterator[Watch]:
    """A stream whose messages wait in the server until they are read."""
    async with (
        aio.insecure_channel(server.address, _PROBES) as channel,
        Watch(ContextStoreStub(channel)) as watch,
    ):
        yield watch


async def put_all(stub: Stub, keys: Iterable[KeyMessage], size: int) -> dict[str, int]:
    """Put a context of this size for each key, and return their versions by the keys' ids."""
    context = of_size(size)
    answers = await asyncio.gather(*(put(stub, each, context) for each in keys))
    return {each.entry.key.id: each.entry.version for each in answers}


async def read_versions(watch: Watch, versions: dict[str, int]) -> list[WatchResponse]:
    """Read until the stream has sent each of these versions whole, and return all messages."""
    told: list[WatchResponse] = []
    missing = dict(versions)
    while missing:
        told.append(await watch.news())
        assert told[-1].WhichOneof("event") != "reset", "the stream was reset"
        entry = told[-1].entry
        if entry.HasField("context") and missing.get(entry.key.id) == entry.version:
            del missing[entry.key.id]
    return told


@pytest.mark.parametrize(
    "number, size", [(20, 100 << 10), (100, 12 << 10), (1000, 1 << 10)], ids=str
)
async def test_answers_wait_for_room(stub: Stub, slow: Watch, number: int, size: int) -> None:
    """More subscriptions than have room are answered once each, without a reset."""
    keys = [key(f"c{i}") for i in range(number)]
    versions = await put_all(stub, keys, size)
    asked = [slow.subscribe(each) for each in keys]
    answers = [message.answers for message in await read_versions(slow, versions)]
    assert sorted(answers) == asked


@pytest.mark.parametrize("number, size", [(100, 12 << 10), (1000, 1 << 10)], ids=str)
async def test_every_entry_is_put_anew(stub: Stub, slow: Watch, number: int, size: int) -> None:
    """More values than have room are sent, each once there is room for it, without a reset."""
    keys = [key(f"c{i}") for i in range(number)]
    versions = await put_all(stub, keys, size)
    for each in keys:
        slow.subscribe(each)
    await read_versions(slow, versions)
    # The test does not read meanwhile.
    versions = await put_all(stub, keys, size)
    news = await read_versions(slow, versions)
    assert not any(message.answers for message in news)


async def test_an_answer_that_is_larger_than_all_room(stub: Stub, slow: Watch) -> None:
    """An answer larger than the whole buffer is sent, and so are those before and after it."""
    small = await put_all(stub, [key("s1"), key("s2")], 100)
    large = await put_all(stub, [key("l1"), key("l2")], BUFFER + 1)
    for name in ("l1", "s1", "l2", "s2"):
        slow.subscribe(key(name))
    await read_versions(slow, small | large)


async def test_others_do_not_wait_for_one_that_does_not_read(
    stub: Stub, slow: Watch, watch: Watch
) -> None:
    """A stream that does not read its many answers does not delay those of another stream."""
    keys = [key(f"c{i}") for i in range(100)]
    versions = await put_all(stub, keys, 12 << 10)
    for each in keys:
        slow.subscribe(each)
    answer = await watch.answer(watch.subscribe(keys[-1]))
    assert answer.entry.version == versions["c99"]
    await read_versions(slow, versions)


async def test_what_a_client_has_is_not_read_again(settings: Settings, stub: Stub) -> None:
    """Versions that the client has are answered without contexts, and no context is fetched."""
    keys = [key(f"c{i}") for i in range(300)]
    versions = await put_all(stub, keys, 12 << 10)
    with RedisClient(settings.store.get_secret_value()) as redis:
        before = sent(redis)
        async with (
            Server(settings) as fresh,  # as after a restart
            stub_of(fresh.address) as to_fresh,
            Watch(to_fresh) as watch,
        ):
            for each in keys:
                watch.subscribe(each, known_version=versions[each.id])
            for _ in keys:
                message = await watch.news()
                assert message.entry.version == versions[message.entry.key.id]
                assert not message.entry.HasField("context")
        assert sent(redis) - before < len(keys) * (12 << 10) / 10


def sent(redis: RedisClient) -> int:
    """The bytes that Redis has sent so far."""
    count: int = redis("INFO", "stats")["total_net_output_bytes"]
    return count


async def cache_all(client: Either, keys: Iterable[ContextKey]) -> None:
    """Resolve contexts until the client's cache has all of them."""
    for each in keys:
        await client.ask(methodcaller("resolve", each))
    for each in keys:
        await client.local(each)


async def test_a_client(settings: Settings, stub: Stub, client: Either) -> None:
    """A client caches all contexts in use, and Redis sends each version of one about once.

    This holds after a first use, and after all were put again: the Gets of the first use, the
    answers and the pushes fetch a version once, together.
    """
    keys = [ContextKey("conversation", "acme", f"c{i}") for i in range(60)]
    messages = [each.to_message() for each in keys]
    size = 20 << 10
    with RedisClient(settings.store.get_secret_value()) as redis:
        for _ in range(2):
            await put_all(stub, messages, size)
            before = sent(redis)
            async with asyncio.timeout(30):
                await cache_all(client, keys)
            assert sent(redis) - before < 1.5 * len(keys) * size
