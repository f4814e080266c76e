"""A server that stops: calls in flight are answered, and new ones go elsewhere."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import grpc
import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from relevo.v1.store_pb2 import PutRequest, PutResponse
from relevo_server.storage import open_storage
from support.clients.calls import TIMEOUT, Stub, context, key, put
from support.failures import failure_of
from support.network.proxy import Proxy
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.serving import stub_of
from support.waiting import until, until_async

PutTask: TypeAlias = "asyncio.Task[PutResponse]"

CALLS = 20
FLAGS = (
    *("--store-timeout", "60", "--health-interval", "60"),
    *("--max-concurrent-calls", str(CALLS)),
)


@pytest.fixture
def process(way: Proxy) -> Iterator[RelevoProcess]:
    """A server whose connection to Redis can be held. No test waits for the end of its grace."""
    store = f"redis://127.0.0.1:{way.port}"
    with relevo_serve("--store", store, "--grace", "60", *FLAGS) as process:
        yield process


@pytest.fixture
async def stub(process: RelevoProcess) -> AsyncIterator[Stub]:
    """Its stub."""
    async with stub_of(process.address) as stub:
        yield stub


async def puts_under_way(stub: Stub, way: Proxy) -> set[PutTask]:
    """As many Puts as the server accepts at once, each waiting for an answer of Redis."""
    way.to_client.hold()
    tasks = [asyncio.create_task(put(stub, key(f"c{i}"))) for i in range(CALLS + 1)]
    # One more than the limit: its refusal shows that the server has begun all others.
    done, under_way = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    assert (await failure_of(refused)).reason == "TOO_MANY_REQUESTS"
    return under_way


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_calls_under_way_end_well(
    process: RelevoProcess,
    stub: Stub,
    way: Proxy,
    redis: RedisProcess,
    number: signal.Signals,
) -> None:
    """Calls in flight are answered; new calls are UNAVAILABLE; the exit code is 0."""
    calls = await puts_under_way(stub, way)
    process.signal(number)
    await until_async(lambda: process.events("server.stopping"))

    async def new_calls_are_refused() -> bool:
        async with stub_of(process.address) as other:
            request = PutRequest(key=key("new"), context=context())
            with pytest.raises(aio.AioRpcError) as caught:
                await other.Put(request, timeout=0.2)
        return caught.value.code() is StatusCode.UNAVAILABLE

    await until_async(new_calls_are_refused)
    assert not any(call.done() for call in calls)
    way.to_client.let_go()
    answers = await asyncio.gather(*calls)
    assert await asyncio.to_thread(process.wait) == 0
    assert process.log[-1]["event"] == "server.stopped"
    storage = open_storage(redis.url, partitions=64)
    events = (await storage.tail(storage.partition_of("acme"), 0, 100)).events
    await storage.close()
    assert {event.revision for event in events} == {answer.revision for answer in answers}


@pytest.mark.timing  # a server waits 0.05 s to 0.5 s for what is on its way, as seen by its clock
async def test_calls_that_are_on_their_way(redis: RedisProcess) -> None:
    """A call that the server has not begun when it stops is UNAVAILABLE, never CANCELLED.

    Clients repeat an UNAVAILABLE call on another server; CANCELLED means that the caller itself
    gave up.
    """
    # After its grace a server aborts what it has begun, as CANCELLED.
    with relevo_serve("--store", redis.url, "--grace", "60") as process:
        async with stub_of(process.address) as stub:
            await put(stub, key())
            calls = [asyncio.create_task(put(stub, key(f"c{i}"))) for i in range(200)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            process.signal(signal.SIGTERM)
            results = await asyncio.gather(*calls, return_exceptions=True)
        codes = {r.code().name if isinstance(r, aio.AioRpcError) else "OK" for r in results}
        assert codes <= {"OK", "UNAVAILABLE"}
        assert await asyncio.to_thread(process.wait) == 0


async def test_a_client_that_is_connected_goes_elsewhere(
    process: RelevoProcess, stub: Stub
) -> None:
    """On a channel that was in use, calls after the stop are UNAVAILABLE at once."""
    await put(stub, key())
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0
    with pytest.raises(aio.AioRpcError) as caught:
        await put(stub, key())
    assert caught.value.code() is StatusCode.UNAVAILABLE


async def test_grace_has_an_end(way: Proxy) -> None:
    """Calls that last longer than `grace` are aborted, and the exit code is still 0."""
    store = f"redis://127.0.0.1:{way.port}"
    with relevo_serve("--store", store, "--grace", "0.2", *FLAGS) as process:
        async with stub_of(process.address) as stub:
            calls = await puts_under_way(stub, way)
            process.signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait) == 0
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, aio.AioRpcError)
                assert result.code() in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


async def test_health_says_so_first(process: RelevoProcess) -> None:
    """A watch of the server's health gets NOT_SERVING when the server begins to stop."""
    async with aio.insecure_channel(process.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        process.signal(signal.SIGTERM)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert await asyncio.to_thread(process.wait) == 0


def test_a_server_may_be_told_at_once() -> None:
    """SIGTERM right after the start ends the server in order, too."""
    for _ in range(3):
        with relevo_serve() as process:
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
            assert process.log[-1]["event"] == "server.stopped"


def test_idle_connections_do_not_keep_it(process: RelevoProcess) -> None:
    """A server does not wait for connected clients without calls."""
    with grpc.insecure_channel(process.address) as channel:
        grpc.channel_ready_future(channel).result(TIMEOUT)
        process.signal(signal.SIGTERM)
        until(lambda: process.events("server.stopped"))
        assert process.wait() == 0
