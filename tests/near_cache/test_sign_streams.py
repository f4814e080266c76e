"""Signs of life on real streams: who gets them, when, and that older clients get none."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from relevo.v1.store_pb2 import Ping, Position, WatchRequest, WatchResponse
from relevo_client import AsyncContextClient, CacheOptions, ContextKey, ExecutionContext
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.wire.requests import watch as watch_requests
from support.clients.calls import Stub, key, put
from support.clients.watching import Watch
from support.failures import failure_of
from support.network.proxy import Proxy
from support.waiting import until_async

INTERVAL = 0.1
KEY = ContextKey("conversation", "acme", "c1")
CACHE = CacheOptions(max_staleness=0.6, idle_after=0.3)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a server that looks at its logs often."""
    return settings.model_copy(update={"watch_heartbeat": 0.1})


def ping(number: int, interval: float = INTERVAL) -> WatchRequest:
    """A ping that asks for signs of life."""
    request = WatchRequest(ping=Ping(number=number))
    request.ping.sign_interval.FromNanoseconds(round(interval * 1e9))
    return request


async def positions(watch: Watch, number: int) -> list[Position]:
    """The next positions of the stream: this many."""
    found: list[Position] = []
    while len(found) < number:
        message = await watch.next()
        found += [*message.progress.positions, *message.positions]
    return found


async def test_signs_without_pings(stub: Stub, watch: Watch) -> None:
    """One ping is answered at once, and then signs come, each as of a later poll of the log."""
    await put(stub, key())
    watch.send(ping(1))
    first = await watch.next()
    assert first.clock.ping == 1
    watch.subscribe(key())
    signs = [each for each in await positions(watch, 8) if each.time > first.clock.time]
    times = [each.time for each in signs]
    assert len(times) >= 5
    assert times == sorted(set(times))
    assert not any(each.ping for each in signs)


async def test_a_stream_that_never_pings(stub: Stub, watch: Watch) -> None:
    """Its positions reach what others write in the partition, and are not repeated."""
    await watch.answer(watch.subscribe(key()))
    for _ in range(3):
        revision = (await put(stub, key("another"))).revision
        (position,) = await positions(watch, 1)
        while position.revision < revision:
            (position,) = await positions(watch, 1)
        assert (position.revision, position.ping) == (revision, 0)
    await put(stub, key())
    assert (await watch.next()).entry.key == key()  # no position came in between


async def test_the_first_sign(stub: Stub) -> None:
    """A new stream, and one that goes on, get a sign as of a moment after their ping.

    It does not wait for the interval.
    """
    await put(stub, key())
    async with Watch(stub) as watch:
        watch.send(ping(1, interval=3600))
        watch.subscribe(key())
        await sign_after_clock(watch, 1)
        watch.send(ping(2, interval=0))
        while (await watch.next()).clock.ping != 2:
            pass
        watch.send(ping(3, interval=3600))
        await sign_after_clock(watch, 3)


async def sign_after_clock(watch: Watch, number: int) -> None:
    """Wait for the answer to a ping, and for a sign that is later."""
    moment = 0
    while True:
        message = await watch.next()
        if message.clock.ping == number:
            moment = message.clock.time
        found = [*message.progress.positions, *message.positions]
        if moment and any(each.time >= moment for each in found):
            return


async def test_a_pause(stub: Stub, watch: Watch) -> None:
    """A stream that needs no signs gets none, while another one does; it still gets events."""
    await put(stub, key())
    watch.send(ping(1))
    watch.subscribe(key())
    await sign_after_clock(watch, 1)
    watch.send(ping(2, interval=0))
    while (await watch.next()).clock.ping != 2:
        pass
    reading = asyncio.create_task(news_after(watch))
    async with Watch(stub) as other:
        other.send(ping(1))
        other.subscribe(key())
        await positions(other, 5)
        version = (await put(stub, key())).revision
        event, before = await reading
    assert event.entry.version == version
    assert before <= 1, "a message that was on its way"


async def news_after(watch: Watch) -> tuple[WatchResponse, int]:
    """The next event, and the number of messages before it."""
    number = 0
    while (message := await watch.next()).WhichOneof("event") in (None, "progress"):
        number += 1
    return message, number


async def test_a_client_that_pings(stub: Stub, watch: Watch) -> None:
    """A client that does not ask for signs gets what it always got: its pings' numbers."""
    await put(stub, key())
    watch.subscribe(key())
    for _ in range(3):
        number = watch.ping()
        answered = 0
        while answered < number:
            message = await watch.next()
            assert not message.HasField("clock")
            for position in (*message.progress.positions, *message.positions):
                assert not position.time
                answered = max(answered, position.ping)


async def test_a_wrong_interval(watch: Watch) -> None:
    """A negative interval ends the stream, and the field is named."""
    watch.send(ping(1, interval=-1))
    failure = await failure_of(watch.next())
    assert failure.fields == ["ping.sign_interval"]


async def test_an_older_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose server knows no signs goes on to ping, and is served all the time."""

    def read_ping(message: Ping) -> watch_requests.Ping:
        return watch_requests.Ping(message.number)

    monkeypatch.setattr(watch_requests, "_read_ping", read_ping)
    async with AsyncContextClient(server.address, cache=CACHE, timeout=10) as client:
        await client.put(KEY, ExecutionContext(user_id="u"))
        begin = time.monotonic()
        while time.monotonic() - begin < 2 * CACHE.max_staleness:  # the test waits for time itself
            await until_async(is_served(client), what="a copy that may be used")
            await asyncio.sleep(0.01)


async def test_a_client_that_reads_nothing(server: Server) -> None:
    """Nothing is sent either way. The next read asks the store, and later ones are served again."""
    port = int(server.address.rpartition(":")[2])
    with Proxy(port) as path:
        async with AsyncContextClient(f"127.0.0.1:{path.port}", cache=CACHE, timeout=10) as client:
            await client.put(KEY, ExecutionContext(user_id="u"))
            await until_async(is_served(client))

            async def is_quiet() -> bool:
                before = path.to_client.bytes, path.to_server.bytes
                await asyncio.sleep(2 * CACHE.max_staleness)
                return before == (path.to_client.bytes, path.to_server.bytes)

            await until_async(is_quiet)
            assert client.peek(KEY) is None
            await until_async(is_served(client))


def is_served(client: AsyncContextClient) -> Callable[[], Awaitable[bool]]:
    """Whether the client's cache answers a read."""

    async def is_cached() -> bool:
        return client.peek(KEY) is not None

    return is_cached
