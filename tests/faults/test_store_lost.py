"""A client's log when its store is lost and found: one line each, whatever calls it makes."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress

import pytest
from relevo_client import CacheOptions, ContextKey, ExecutionContext, RelevoError
from support.clients.either import KINDS, Either, opened
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.shapes import Kind
from support.servers.two_servers import Servers, two_servers
from support.waiting import until_async

KEY = ContextKey("agent_config", "acme", "support")
CACHE = CacheOptions(max_staleness=10.0)
"""A store that gives no sign of life for so long is lost, too, and no busy machine is so slow."""
TOKEN = "s3cret-token"  # noqa: S105 - a test's own

each_kind = pytest.mark.parametrize("kind", KINDS)
with_and_without_cache = pytest.mark.parametrize("cache", [CACHE, None], ids=["cache", "no cache"])


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    """The log at its most verbose level."""
    caplog.set_level(logging.DEBUG, "relevo_client")


def logged(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """Level and text of each line of the clients above DEBUG."""
    records = [r for r in caplog.records if r.name == "relevo_client" and r.levelno >= level]
    return [f"{r.levelname} {r.getMessage()}" for r in records]


async def use(client: Either, key: ContextKey = KEY) -> bool:
    """Whether the store answers a call, which no cache can answer."""
    try:
        await client.ask(lambda c: c.get(key))
    except RelevoError as error:
        return error.reason == "NO_ENTRY"
    return True


async def until_logged(caplog: pytest.LogCaptureFixture, client: Either, count: int) -> list[str]:
    """Use the client until it has logged this many lines, and return them."""

    async def is_logged() -> bool:
        await use(client)
        return len(logged(caplog)) >= count

    await until_async(is_logged, within=20, what=f"{count} lines, not {logged(caplog)}")
    return logged(caplog)


@each_kind
@with_and_without_cache
async def test_a_server_that_is_killed_and_comes_back(
    port: int, kind: Kind, cache: CacheOptions | None, caplog: pytest.LogCaptureFixture
) -> None:
    """One WARNING when the store is lost, one INFO when it is found, however many calls fail."""
    listen = ("--listen", f"127.0.0.1:{port}")
    async with opened(kind, f"127.0.0.1:{port}", token=TOKEN, timeout=10, cache=cache) as client:
        with relevo_serve(*listen) as server:
            await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
            if cache:
                await client.local(KEY)
            assert logged(caplog) == []
            server.signal(signal.SIGKILL)
            server.wait()
        (lost,) = await until_logged(caplog, client, 1)
        assert lost.startswith(f"WARNING the store at 127.0.0.1:{port} is lost: UNAVAILABLE")
        for _ in range(5):
            assert not await use(client)
        assert logged(caplog) == [lost]
        with relevo_serve(*listen):
            lines = await until_logged(caplog, client, 2)
            assert lines == [lost, f"INFO the store at 127.0.0.1:{port} is found again"]
            assert await use(client)
            await client.close()
        assert logged(caplog) == lines
    assert TOKEN not in caplog.text


@each_kind
async def test_a_store_that_is_away_from_the_beginning(
    port: int, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that never got an answer logs it, too, even if only its cache tries to connect."""
    async with opened(kind, f"127.0.0.1:{port}", timeout=0.5, cache=CACHE) as client:
        client.peek(KEY)

        async def is_logged() -> bool:
            return bool(logged(caplog))

        await until_async(is_logged, what="a warning")
    (line,) = logged(caplog)
    assert line.startswith("WARNING the store at")


@each_kind
async def test_a_server_that_is_killed_amid_subscriptions(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """If a stream ends before a request is written to it, that is not logged as a defect."""
    moments = 12  # turns of the loop in which gRPC may notice the end
    async with AsyncExitStack() as stack:
        with relevo_serve() as server:
            clients = [
                await stack.enter_async_context(opened(kind, server.address, timeout=10))
                for _ in range(2 * moments)
            ]
            await clients[0].ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
            await asyncio.gather(*(client.local(KEY) for client in clients))
            server.signal(signal.SIGKILL)
            server.wait()
            time.sleep(0.2)  # noqa: ASYNC251 - gRPC's threads hear of it, this loop has not yet
            for moment in range(moments):
                for client in clients[moment::moments]:
                    client.peek(ContextKey("agent_config", "acme", "another"))
                await asyncio.sleep(0)

            async def have_ended() -> bool:
                ends = [r for r in caplog.records if "the watch of the store" in r.getMessage()]
                return len(ends) >= len(clients)

            await until_async(have_ended)
    assert logged(caplog, logging.ERROR) == []
    assert "InvalidStateError" not in caplog.text


@pytest.fixture
def servers(redis: RedisProcess) -> Iterator[Servers]:
    """Two servers over one Redis."""
    with two_servers(redis) as servers:
        yield servers


@pytest.mark.parametrize(
    "kind, cache, end",
    [
        ("blocking", CACHE, Servers.kill),
        ("blocking", None, Servers.stop),
        ("asyncio", CACHE, Servers.stop),
        ("asyncio", None, Servers.kill),
    ],
)
async def test_another_server_answers(
    servers: Servers,
    kind: Kind,
    cache: CacheOptions | None,
    end: Callable[[Servers, int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If one server ends while another one answers, the store is not lost: nothing is logged."""
    async with opened(kind, servers.target(), timeout=20, cache=cache) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
        if cache:
            await client.local(KEY)
        calls = [asyncio.create_task(use(client)) for _ in range(50)]
        await asyncio.to_thread(end, servers, servers.ports[0])
        await asyncio.gather(*calls)

        async def is_used() -> bool:
            return await use(client)

        await until_async(is_used, within=20)
        if cache:
            await client.local(KEY)
    assert logged(caplog) == []


@pytest.mark.parametrize("kind, cache", [("blocking", None), ("asyncio", CACHE)])
async def test_redis_that_is_gone(
    redis: RedisProcess,
    process: RelevoProcess,
    kind: Kind,
    cache: CacheOptions | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If its Redis is lost, the store is lost, even though a server reports it."""
    async with opened(kind, process.address, cache=cache) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
        if cache:
            await client.local(KEY)
        redis.stop()
        (lost,) = await until_logged(caplog, client, 1)
        assert lost.startswith("WARNING")
        redis.start()
        assert len(await until_logged(caplog, client, 2)) == 2


@each_kind
async def test_a_timeout_of_the_callers_own(
    process: RelevoProcess, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller whose own timeout is too short has not lost the store."""
    async with opened(kind, process.address, timeout=10, cache=None) as client:
        await use(client)
        for _ in range(5):
            with suppress(RelevoError):
                await client.ask(lambda c: c.resolve(KEY, timeout=1e-6))
        await use(client)
    assert logged(caplog) == []
