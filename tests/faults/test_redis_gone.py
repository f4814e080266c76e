"""Redis stopped, killed, cut off or silent: UNAVAILABLE in time, then automatic recovery."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    PutRequest,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import TIMEOUT, Stub, context, get, is_alive, key, masked, put
from support.failures import Failure, failure_in, failure_of
from support.network.ports import NOBODY
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import relevo_serve
from support.servers.serving import health_of, stub_of
from support.waiting import until, until_async


@pytest.fixture
def store_url(way: Proxy) -> str:
    """The server reaches Redis through the proxy."""
    return f"redis://127.0.0.1:{way.port}"


class Outage:
    """One way in which Redis is unreachable, and its end."""

    def __init__(self, redis: RedisProcess, way: Proxy, kind: str) -> None:
        self.redis, self.way, self.kind = redis, way, kind
        self.loses_data = kind == "killed"

    def begin(self) -> None:
        """Break the connection or Redis."""
        match self.kind:
            case "stopped":
                self.redis.signal(signal.SIGSTOP)
            case "killed":
                self.redis.stop()
            case "cut off":
                self.way.refuse()
            case _:
                self.way.to_server.swallow = self.way.to_client.swallow = True

    def end(self) -> None:
        """Repair it."""
        match self.kind:
            case "stopped":
                self.redis.signal(signal.SIGCONT)
            case "killed":
                self.redis.start()
            case "cut off":
                self.way.accept()
            case _:
                self.way.to_server.swallow = self.way.to_client.swallow = False


@pytest.fixture(params=["stopped", "killed", "cut off", "silent"])
def outage(redis: RedisProcess, way: Proxy, request: pytest.FixtureRequest) -> Iterator[Outage]:
    """Each kind of outage. At the end Redis is stopped, in whatever state the test left it."""
    yield Outage(redis, way, request.param)
    way.accept()


def calls(stub: Stub, deadline: float) -> list[Callable[[], Awaitable[object]]]:
    """One call of each kind."""
    named = key("c2")
    change = PutRequest(key=named, context=context(), update_mask=masked("user_id"))
    keys = InvalidateRequest(keys=ContextKeys(keys=[named]))
    return [
        lambda: stub.Get(GetRequest(key=named), timeout=deadline),
        lambda: stub.Get(GetRequest(key=named, include_layers=True), timeout=deadline),
        lambda: stub.Put(PutRequest(key=named, context=context()), timeout=deadline),
        lambda: stub.Put(change, timeout=deadline),
        lambda: stub.Invalidate(keys, timeout=deadline),
    ]


def check_unavailable(failure: Failure) -> None:
    """Check that every failure says that the store is unreachable, and has a retry delay."""
    assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert failure.retry_after is not None
    assert failure.retry_after > 0


async def until_health(server: Server, wanted: str) -> None:
    """Wait for this health status."""

    async def says_so() -> bool:
        return await health_of(server.address) == wanted

    await until_async(says_so)


@pytest.mark.timing
async def test_calls_are_unavailable_in_time(
    server: Server, stub: Stub, settings: Settings, outage: Outage
) -> None:
    """Every call ends before its deadline, with RetryInfo; the server recovers by itself.

    The store's own timeout ends a call; if that is long, its deadline does. Both leave the answer
    more than a second.
    """
    patient = settings.model_copy(update={"store_timeout": 20.0})
    deadline = 3.0

    async def timed(call: Callable[[], Awaitable[object]]) -> None:
        begin = time.monotonic()
        check_unavailable(await failure_of(call()))
        assert time.monotonic() - begin < deadline

    async with Server(patient) as other, stub_of(other.address) as another:
        first = await put(stub, key(), context(user_id="u"))
        outage.begin()
        await asyncio.gather(
            *(timed(call) for each in (stub, another) for call in calls(each, deadline))
        )
    await until_health(server, "NOT_SERVING")
    outage.end()
    await until_health(server, "SERVING")
    if outage.loses_data:
        assert not await is_alive(stub, key())
    else:
        assert (await get(stub, key())).entry.context.user_id == "u"
    assert (await put(stub, key())).revision > first.revision


@pytest.mark.timing
async def test_a_call_without_a_deadline_ends_too(
    stub: Stub, outage: Outage, settings: Settings
) -> None:
    """The store's own timeout bounds a call without a deadline."""
    await put(stub, key())
    outage.begin()
    begin = time.monotonic()
    for call in (
        stub.Get(GetRequest(key=key())),
        stub.Put(PutRequest(key=key(), context=context())),
    ):
        check_unavailable(await failure_of(call))
    assert time.monotonic() - begin < 2 * settings.store_timeout
    outage.end()


@pytest.mark.timing
async def test_a_batch_is_unavailable_get_by_get(stub: Stub, outage: Outage) -> None:
    """The hundred Gets of a batch fail together and in time, each with its own error."""
    await put(stub, key())
    outage.begin()
    begin = time.monotonic()
    request = BatchGetRequest(requests=[GetRequest(key=key(f"c{i}")) for i in range(100)])
    response = await stub.BatchGet(request, timeout=4.0)
    assert time.monotonic() - begin < 4.0
    for result in response.results:
        check_unavailable(failure_in(result.error))
    outage.end()


async def test_connections_come_back(settings: Settings, outage: Outage) -> None:
    """After many failed calls, all connections can be used."""
    few = settings.model_copy(update={"store_connections": 3})
    async with Server(few) as server, stub_of(server.address) as stub:
        await put(stub, key())
        outage.begin()
        failures = await asyncio.gather(
            *(failure_of(stub.Get(GetRequest(key=key()), timeout=TIMEOUT)) for _ in range(60))
        )
        for failure in failures:
            check_unavailable(failure)
        outage.end()
        await until_health(server, "SERVING")
        outage.way.to_client.hold()
        before = outage.way.to_server.bytes
        waiting = [asyncio.create_task(is_alive(stub, key())) for _ in range(9)]
        await until_async(lambda: outage.way.to_server.bytes > before)
        outage.way.to_client.let_go()
        assert len(set(await asyncio.gather(*waiting))) == 1


@pytest.mark.parametrize("down", [True, False], ids=["not there", "silent"])
async def test_a_server_may_start_before_its_redis(
    settings: Settings, redis: RedisProcess, client: RedisClient, way: Proxy, down: bool
) -> None:
    """A server starts without Redis, and is SERVING when Redis is reachable."""
    if down:
        redis.stop()
    else:
        way.to_server.swallow = True
    async with Server(settings) as server, stub_of(server.address) as stub:
        assert await health_of(server.address) == "NOT_SERVING"
        check_unavailable(await failure_of(stub.Get(GetRequest(key=key()), timeout=TIMEOUT)))
        if down:
            redis.start()
        else:
            way.to_server.swallow = False
        await until_health(server, "SERVING")
        await put(stub, key())
        assert await is_alive(stub, key())
        assert client("HGET", "relevo:layout", "partitions") == b"64"


async def test_nothing_is_written_before_the_layout_was_seen(
    redis: RedisProcess, client: RedisClient
) -> None:
    """A server that started without Redis writes nothing into a store of another layout."""
    client("HSET", "relevo:layout", "partitions", 8, "version", 1)
    with Proxy(redis.port) as way:
        way.refuse()
        store = f"redis://127.0.0.1:{way.port}"
        with relevo_serve("--store", store, "--health-interval", "30") as server:
            async with stub_of(server.address) as stub:
                check_unavailable(
                    await failure_of(stub.Get(GetRequest(key=key()), timeout=TIMEOUT))
                )
                way.accept()
                failure = await failure_of(
                    stub.Put(PutRequest(key=key(), context=context()), timeout=TIMEOUT)
                )
                assert failure.code in (StatusCode.UNAVAILABLE, StatusCode.INTERNAL)
    assert client.names("relevo") == ["relevo:layout"]


def test_such_a_server_ends(redis: RedisProcess, client: RedisClient) -> None:
    """At its next check of the store, such a server ends, and names the layout that it found."""
    client("HSET", "relevo:layout", "partitions", 8, "version", 1)
    with Proxy(redis.port) as way:
        way.refuse()
        store = f"redis://127.0.0.1:{way.port}"
        with relevo_serve("--store", store, "--health-interval", "0.05") as server:
            assert server.events("store.lost")
            way.accept()
            assert server.wait() == 1
            assert "8 partitions" in server.lines[-1]


def test_a_port_where_nobody_listens() -> None:
    """A wrong address of the store does not prevent the start, and the log says that it is lost."""
    with relevo_serve("--store", f"redis://127.0.0.1:{NOBODY}") as server:
        until(lambda: server.events("store.lost"))
        assert server.events("store.lost")[0]["reason"] == "STORE_UNAVAILABLE"
