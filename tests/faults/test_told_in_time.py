"""A client of an unavailable store gets its error before its deadline, with advice on a retry."""

import asyncio
import signal
from contextlib import suppress

import pytest
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import GetRequest
from relevo_client import RelevoError, UnavailableError
from relevo_server import errors
from relevo_server.server import Server
from relevo_server.service import admission
from support.clients.calls import Stub, get, key, put
from support.clients.either import KEY, KINDS, METHODS, Either, opened
from support.network.ports import NOBODY
from support.network.proxy import Proxy
from support.pauses import measured
from support.redis.process import RedisProcess
from support.servers.relay import Relay
from support.servers.shapes import Kind
from support.waiting import until_async

pytestmark = pytest.mark.timing

each_kind = pytest.mark.parametrize("kind", KINDS)

PUSHBACK = "grpc-retry-pushback-ms"


@pytest.fixture
def store_url(way: Proxy) -> str:
    """The server reaches Redis through the proxy."""
    return f"redis://127.0.0.1:{way.port}"


def check_unavailable(error: RelevoError) -> None:
    """Check that the store itself says that it is unreachable, and when to retry."""
    assert (type(error), error.reason) == (UnavailableError, "STORE_UNAVAILABLE")
    assert error.retry_after == errors.RETRY_DELAY


async def pushback_of(stub: Stub, timeout: float | None) -> str | None:
    """The retry pushback of a failed Get."""
    with pytest.raises(aio.AioRpcError) as caught:
        await stub.Get(GetRequest(key=key()), timeout=timeout)
    assert caught.value.code() is StatusCode.UNAVAILABLE
    said = [str(value) for name, value in caught.value.trailing_metadata() if name == PUSHBACK]
    return said[0] if said else None


@each_kind
@pytest.mark.parametrize("method", METHODS)
async def test_every_method_is_told_before_a_short_time_is_over(
    server: Server, redis: RedisProcess, kind: Kind, method: str
) -> None:
    """While Redis is silent, a deadline of 0.2 s suffices for STORE_UNAVAILABLE and its delay."""
    async with opened(kind, server.address, timeout=0.2, cache=None) as client:
        await until_known(client)
        redis.signal(signal.SIGSTOP)

        async def error() -> RelevoError:
            try:
                found: list[RelevoError] = await client.ask(METHODS[method])
            except RelevoError as error:
                return error
            return found[0]  # the errors are in the batch's results

        told, _ = await measured(error)
        redis.signal(signal.SIGCONT)
    check_unavailable(told)  # not from gRPC, at the deadline


async def until_known(client: Either) -> None:
    """Wait until the client has reached the server, and the server its store."""

    async def is_known() -> bool:
        with suppress(UnavailableError):
            await client.ask(lambda client: client.batch_get([KEY]))
            return True
        return False

    await until_async(is_known)


@each_kind
async def test_silence_is_told_once(server: Server, redis: RedisProcess, kind: Kind) -> None:
    """A call that took the store's whole timeout is not repeated, however much time is left."""
    async with (
        Relay(server.address) as relay,
        opened(kind, relay.address, timeout=8, cache=None) as client,
    ):
        await until_known(client)
        redis.signal(signal.SIGSTOP)

        async def error() -> RelevoError:
            relay.calls.clear()
            return await client.raised(METHODS["get"])

        told, seconds = await measured(error, pause=0.3)
        redis.signal(signal.SIGCONT)
    check_unavailable(told)
    assert len(relay.of("Get")) == 1
    assert seconds < 1.5  # `store_timeout` is 1 s


@each_kind
@pytest.mark.parametrize("seconds", [0.2, 0.5, 2.0])
async def test_a_refusal_is_repeated_in_time(
    server: Server, way: Proxy, kind: Kind, seconds: float
) -> None:
    """If Redis refuses at once, the call is repeated, and its error arrives before its deadline."""
    async with (
        Relay(server.address) as relay,
        opened(kind, relay.address, timeout=seconds, cache=None) as client,
    ):
        await until_known(client)
        way.refuse()

        async def error() -> RelevoError:
            relay.calls.clear()
            return await client.raised(METHODS["get"])

        told, _ = await measured(error, pause=seconds / 10)
    check_unavailable(told)  # not from gRPC, at the deadline
    assert len(relay.calls) == 3


@each_kind
async def test_a_connection_that_broke_is_nobodys_failure(
    server: Server, way: Proxy, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server loses its connection to Redis amid a call, the repeated call succeeds."""
    monkeypatch.setattr(admission, "_SOON", 10.0)  # on a busy machine too
    async with opened(kind, server.address, timeout=60, cache=None) as client:
        await client.ask(METHODS["put"])
        way.to_client.hold()
        before = way.to_server.bytes
        asked = asyncio.create_task(client.ask(METHODS["get"]))
        await until_async(lambda: way.to_server.bytes > before)
        way.cut()
        way.to_client.let_go()
        assert (await asked).key == KEY


async def test_what_a_server_says_of_repetition(stub: Stub, way: Proxy) -> None:
    """The server's pushback is -1 after the store's whole timeout, and short in little time."""
    await put(stub, key())
    way.refuse()
    (ample, _) = await measured(lambda: pushback_of(stub, 20.0))
    (little, _) = await measured(lambda: pushback_of(stub, 0.8))
    assert ample is None
    assert little is not None
    assert 50 <= int(little) <= 100
    way.accept()
    await until_async(lambda: is_available(stub))
    way.to_client.swallow = True
    assert await pushback_of(stub, 0.4) == "-1"
    way.to_client.swallow = False


async def is_available(stub: Stub) -> bool:
    """Whether the store can be asked again."""
    with suppress(aio.AioRpcError):
        await get(stub, key())
        return True
    return False


@each_kind
@pytest.mark.parametrize("seconds", [0.2, 2.0])
async def test_no_server_at_all(kind: Kind, seconds: float) -> None:
    """If no server listens, UnavailableError comes in time, with a retry delay."""
    async with opened(kind, f"127.0.0.1:{NOBODY}", timeout=seconds, cache=None) as client:
        error, taken = await measured(lambda: client.raised(METHODS["get"]), pause=0.3)
    assert type(error) is UnavailableError
    assert error.reason in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert error.retry_after == errors.RETRY_DELAY
    assert taken < seconds + 0.5


@each_kind
async def test_a_server_that_is_out_of_reach(server: Server, kind: Kind) -> None:
    """If packets are lost, UnavailableError comes at the deadline, with a retry delay."""
    with Proxy(int(server.address.rpartition(":")[2])) as path:
        path.to_client.swallow = True
        async with opened(kind, f"127.0.0.1:{path.port}", timeout=0.5, cache=None) as client:
            error, taken = await measured(lambda: client.raised(METHODS["get"]), pause=0.3)
    assert (type(error), error.reason) == (UnavailableError, "DEADLINE_EXCEEDED")
    assert error.retry_after == errors.RETRY_DELAY
    assert taken < 1.0
