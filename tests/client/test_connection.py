"""The connection of a client: targets, channels, tokens, timeouts and closing."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from grpc import aio
from relevo_client import (
    CHANNEL_OPTIONS,
    AccessDeniedError,
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    RelevoError,
    UnavailableError,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import principal
from support.servers.relay import Relay
from support.waiting import until_async

STORE = "relevo.v1.ContextStore"
TOKEN = "token-of-acme"  # noqa: S105 - a test's own


@pytest.fixture
async def guarded() -> AsyncIterator[Server]:
    """A server that knows one token, which opens one tenant."""
    principals = (principal(TOKEN, "acme"),)
    async with Server(Settings(listen="127.0.0.1:0", principals=principals)) as server:
        yield server


def test_either_a_target_or_a_channel() -> None:
    """A client needs either a target or a channel."""
    with pytest.raises(ValueError, match="target or a channel"):
        AsyncContextClient()


async def test_not_both_a_target_and_a_channel() -> None:
    """Both a target and a channel are refused, as they may differ."""
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        with pytest.raises(ValueError, match="target or a channel"):
            AsyncContextClient("127.0.0.1:1", channel=channel)


async def test_nothing_is_sent_before_the_first_call() -> None:
    """A client can be created before its server, and outside of an event loop."""
    async with AsyncContextClient("127.0.0.1:1"):
        pass


async def test_a_token_opens_its_tenants(guarded: Server, key: ContextKey) -> None:
    """The token is sent with every call, and opens only its tenants."""
    async with AsyncContextClient(guarded.address, token=TOKEN, timeout=10) as client:
        await client.put(key, ExecutionContext(user_id="u"))
        assert (await client.get(key)).context.user_id == "u"
        assert (await client.invalidate(key)).count == 1
        with pytest.raises(AccessDeniedError) as caught:
            await client.get(ContextKey("conversation", "globex", "c-1"))
        assert caught.value.reason == "TENANT_DENIED"
        assert caught.value.metadata == {"tenant_id": "globex"}


@pytest.mark.parametrize("token", [None, "another", "TOKEN-OF-ACME"])
async def test_unknown_tokens_open_nothing(
    guarded: Server, key: ContextKey, token: str | None
) -> None:
    """Without a known token, every call raises AccessDeniedError."""
    async with AsyncContextClient(guarded.address, token=token, timeout=10) as client:
        for call in (client.get(key), client.put(key, ExecutionContext())):
            with pytest.raises(AccessDeniedError) as caught:
                await call
            assert caught.value.reason == "UNAUTHENTICATED"


async def test_only_the_token_is_sent(server: Server, key: ContextKey) -> None:
    """The client's calls carry the token and perhaps a trace, but no reference."""
    async with Relay(server.address) as relay:
        async with AsyncContextClient(relay.address, token=TOKEN, timeout=10) as client:
            await client.put(key, ExecutionContext())
        async with AsyncContextClient(relay.address, timeout=10) as client:
            await client.get(key)
        (put,), (get,) = relay.of("Put"), relay.of("Get")
    assert [value for name, value in put.metadata if name == "authorization"] == [f"Bearer {TOKEN}"]
    assert {name for name, _ in get.metadata} <= {"user-agent", "traceparent"}


async def test_a_silent_store(silent: tuple[str, asyncio.Event], key: ContextKey) -> None:
    """A call to a silent store raises UnavailableError at its timeout."""
    address, _ = silent
    began = monotonic()
    async with AsyncContextClient(address, timeout=0.2) as client:
        for wait in (client.get(key), client.resolve(key), client.resolve(key, timeout=100)):
            with pytest.raises(UnavailableError) as caught:
                await wait
            assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert monotonic() - began < 10


async def test_resolve_can_have_less_time(
    silent: tuple[str, asyncio.Event], key: ContextKey
) -> None:
    """`resolve` within a call has at most the call's remaining time, which may be none."""
    address, _ = silent
    async with AsyncContextClient(address, timeout=60) as client:
        for timeout in (0.1, 0, -1):
            with pytest.raises(UnavailableError):
                await client.resolve(key, timeout=timeout)


async def test_a_channel_of_ones_own(server: Server, key: ContextKey) -> None:
    """A caller's channel is used, and remains open after the client is closed."""
    async with aio.insecure_channel(server.address, CHANNEL_OPTIONS) as channel:
        async with AsyncContextClient(channel=channel, timeout=10) as client:
            await client.put(key, ExecutionContext(user_id="u"))
        async with AsyncContextClient(channel=channel, timeout=10) as client:
            assert (await client.get(key)).context.user_id == "u"


async def test_close_twice(server: Server, key: ContextKey) -> None:
    """`close` can be called any number of times, before the first call too."""
    client = AsyncContextClient(server.address, timeout=10)
    await client.close()
    async with AsyncContextClient(server.address, timeout=10) as client:
        with pytest.raises(NotFoundError):
            await client.get(key)
        await client.close()
    await client.close()


async def test_closing_ends_calls(silent: tuple[str, asyncio.Event], key: ContextKey) -> None:
    """A call in flight raises a RelevoError when its client is closed, and is not cancelled."""
    address, arrived = silent
    client = AsyncContextClient(address, timeout=60)
    call = asyncio.create_task(client.get(key))
    await arrived.wait()
    await client.close()
    (raised,) = await asyncio.gather(call, return_exceptions=True)
    assert isinstance(raised, RelevoError), repr(raised)


async def test_a_cancelled_call_is_cancelled(
    silent: tuple[str, asyncio.Event], key: ContextKey
) -> None:
    """Cancelling the caller cancels the call, and is seen as a cancellation."""
    address, arrived = silent
    async with AsyncContextClient(address, timeout=60) as client:
        call = asyncio.create_task(client.get(key))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_server_that_comes_back(settings: Settings, key: ContextKey) -> None:
    """A client continues with the next server at the same address."""
    async with Server(settings) as server:
        address = server.address
        client = AsyncContextClient(address, timeout=10)
        await client.put(key, ExecutionContext())
    with pytest.raises(UnavailableError):
        await client.get(key)
    async with Server(settings.model_copy(update={"listen": address})):

        async def is_back() -> bool:
            try:
                await client.put(key, ExecutionContext(user_id="u"))
            except UnavailableError:
                return False
            return True

        await until_async(is_back, what="the client's way back")
        assert (await client.get(key)).context.user_id == "u"
    await client.close()
