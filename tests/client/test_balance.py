"""How clients spread over the servers of a target, and move when there are others."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio
from relevo.admin.v1.admin_pb2 import ListClientsRequest
from relevo_client import (
    CHANNEL_OPTIONS,
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
)
from relevo_server.server import Server, storage_of
from relevo_server.settings import Settings
from support.clients.admin import admin_of
from support.network.dns import names
from support.pages import Name, Page
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c-1")


@asynccontextmanager
async def two_stores() -> AsyncGenerator[str]:
    """The target of two servers, each with a store of its own: the answer says whose it is."""
    async with AsyncExitStack() as stack:
        addresses: list[str] = []
        for name in ("a", "b"):
            server = await stack.enter_async_context(Server(Settings(listen="127.0.0.1:0")))
            async with AsyncContextClient(server.address, cache=None, timeout=10) as client:
                await client.put(KEY, ExecutionContext(user_id=name))
            addresses.append(server.address)
        yield f"ipv4:{','.join(addresses)}"


async def answerer(client: Any) -> str:
    """Whose answer a Get is."""
    blocking = isinstance(client, ContextClient)
    entry = await (asyncio.to_thread(client.get, KEY) if blocking else client.get(KEY))
    assert isinstance(entry, ContextEntry)
    return entry.context.user_id


@pytest.mark.parametrize("kind", [AsyncContextClient, ContextClient])
async def test_round_robin(kind: Any) -> None:
    """With `round_robin`, calls go to all servers of the target in turn."""
    async with two_stores() as target:
        client = kind(target, cache=None, balance="round_robin")
        try:
            met = set[str]()

            async def both_are_there() -> bool:
                met.add(await answerer(client))
                return met == {"a", "b"}

            await until_async(both_are_there)
            assert Counter([await answerer(client) for _ in range(10)]) == {"a": 5, "b": 5}
        finally:
            closed = client.close()
            if closed is not None:
                await closed


async def test_the_first_is_picked() -> None:
    """By default, all calls go to the first server of the target that answers."""
    async with two_stores() as target, AsyncContextClient(target, cache=None, timeout=10) as client:
        assert {await answerer(client) for _ in range(10)} == {"a"}


async def test_a_channel_of_ones_own() -> None:
    """A channel takes turns with gRPC's own option beside those of the library."""
    options = [*CHANNEL_OPTIONS, ("grpc.lb_policy_name", "round_robin")]
    async with (
        two_stores() as target,
        aio.insecure_channel(target, options) as channel,
        AsyncContextClient(channel=channel, cache=None, timeout=10) as client,
    ):
        met = set[str]()

        async def both_are_there() -> bool:
            met.add(await answerer(client))
            return met == {"a", "b"}

        await until_async(both_are_there)


def test_what_cannot_be_balanced() -> None:
    """Another word, and `balance` for a channel of one's own, are errors by their name."""
    with pytest.raises(ValueError, match="balance: must be one of pick_first, round_robin"):
        ContextClient("127.0.0.1:1", balance="random")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with (
        grpc.insecure_channel("127.0.0.1:1") as channel,
        pytest.raises(ValueError, match="balance needs a target"),
    ):
        ContextClient(channel=channel, balance="round_robin")


async def test_new_servers_are_found(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """A client whose connection reaches its age asks DNS again, and moves with its stream.

    No call fails, no copy is lost, and it does not say that its store is lost.
    """
    storage = storage_of(Settings())
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(names())

        async def started(host: str) -> Server:
            settings = Settings(listen=f"{host}:{port}", max_connection_age=1, grace=0.5)
            return await stack.enter_async_context(Server(settings, storage))

        async def has_moved() -> bool:
            admin = await stack.enter_async_context(admin_of(f"127.0.0.3:{port}"))
            return bool((await admin.ListClients(ListClientsRequest(), timeout=10)).clients)

        await started("127.0.0.2")
        dns.addresses["relevo.test"] = ["127.0.0.2"]
        target = f"dns://127.0.0.1:{dns.port}/relevo.test:{port}"
        client = await stack.enter_async_context(AsyncContextClient(target, timeout=10))
        await client.put(KEY, ExecutionContext(user_id="before"))
        await client.resolve(KEY)
        await started("127.0.0.3")
        dns.addresses["relevo.test"] = ["127.0.0.3"]
        calls = asyncio.create_task(_call_until_cancelled(client))
        await until_async(has_moved, within=60)
        assert not calls.done()
        calls.cancel()
        writer = await stack.enter_async_context(
            AsyncContextClient(f"127.0.0.2:{port}", cache=None, timeout=10)
        )
        await writer.put(KEY, ExecutionContext(user_id="after"))
        await until_async(lambda: _seen(client) == "after")
        assert client.cache_counts.misses == 1
    assert [each for each in caplog.records if "lost" in each.getMessage()] == []


async def _call_until_cancelled(client: AsyncContextClient) -> None:
    while True:
        await client.get(KEY)
        await asyncio.sleep(0.01)


def _seen(client: AsyncContextClient) -> str | None:
    entry = client.peek(KEY)
    return entry.context.user_id if entry else None


async def test_the_page() -> None:
    """The snippets of the page make clients, which send nothing before their first call."""
    page = Page("load-balancing.md")
    page.run(Name("Choose a target"), AsyncContextClient=AsyncContextClient)
    made = page.run(
        Name("Channels of your own"),
        AsyncContextClient=AsyncContextClient,
        CHANNEL_OPTIONS=CHANNEL_OPTIONS,
        aio=aio,
        credentials=grpc.ssl_channel_credentials(),
    )
    await made.channel.close()
