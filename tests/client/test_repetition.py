"""A write whose answer was lost is repeated by the channel, and written once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode
from relevo.v1 import store_pb2
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    UnavailableError,
)
from relevo_server.server import Server
from support.clients.either import KINDS, Ask, opened
from support.network.proxy import Proxy
from support.servers.relay import Relay
from support.servers.shapes import Kind
from support.waiting import until_async


@pytest.fixture(params=["UNAVAILABLE", "CANCELLED"])
async def relay(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Relay]:
    """A relay in front of the server that can drop answers.

    With either status that a call may have if its server stops.
    """
    async with Relay(server.address) as relay:
        relay.lost_with = StatusCode[request.param]
        yield relay


@pytest.fixture
async def relayed(relay: Relay) -> AsyncIterator[AsyncContextClient]:
    """A client that reaches the server through the relay."""
    async with AsyncContextClient(relay.address, timeout=10) as client:
        yield client


def request_ids(relay: Relay) -> list[str]:
    """The request ids of the Puts that arrived, in order."""
    return [store_pb2.PutRequest.FromString(call.request).request_id for call in relay.of("Put")]


async def test_a_put_is_written_once(
    client: AsyncContextClient, relay: Relay, relayed: AsyncContextClient, key: ContextKey
) -> None:
    """A Put whose answer was lost is repeated with its request_id, and gets the first answer."""
    relay.answers_to_lose = 1
    ref = await relayed.put(key, ExecutionContext(user_id="u"))
    first, second = request_ids(relay)
    assert first == second != ""
    assert (await client.get(key)).version == ref.revision
    # The next revision of the partition follows at once: no write came between.
    assert (await client.get(key)).revision == ref.revision


async def test_if_absent_does_not_conflict_with_itself(
    relay: Relay, relayed: AsyncContextClient, key: ContextKey
) -> None:
    """A repeated Put with `if_absent` succeeds, although the first one created the entry."""
    relay.answers_to_lose = 1
    first = await relayed.put(key, ExecutionContext(user_id="u"), if_absent=True)
    relay.answers_to_lose = 2
    second = await relayed.put(key, ExecutionContext(user_id="v"), if_version=first.revision)
    assert second.revision > first.revision
    assert len(relay.of("Put")) == 2 + 3


async def test_an_update_is_written_once(
    client: AsyncContextClient, relay: Relay, relayed: AsyncContextClient, key: ContextKey
) -> None:
    """A repeated update does not overwrite a write in between."""
    before = await client.put(key, ExecutionContext(llm_config={"a": 1, "b": 1}))
    relay.answers_to_lose = 1
    ref = await relayed.update(key, {"llm_config": {"a": 2}}, if_version=before.revision)
    assert (await client.get(key)).version == ref.revision
    assert (await client.get(key)).context.llm_config == {"a": 2, "b": 1}


async def test_every_put_has_a_request_id_of_its_own(
    relay: Relay, relayed: AsyncContextClient, key: ContextKey
) -> None:
    """Two Puts of the same context are two writes."""
    refs = [await relayed.put(key, ExecutionContext()) for _ in range(3)]
    assert len(set(request_ids(relay))) == 3
    assert len({ref.revision for ref in refs}) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whole", [False, True], ids=["keys", "a tenant"])
async def test_what_was_put_in_between_lives_on(
    client: AsyncContextClient, relay: Relay, key: ContextKey, kind: Kind, whole: bool
) -> None:
    """A repeated Invalidate spares entries that were put after the first one."""
    end: Ask = lambda c: c.invalidate_tenant(key.tenant_id) if whole else c.invalidate(key)  # noqa: E731
    await client.put(key, ExecutionContext(user_id="before"))
    relay.answers_to_lose = 2
    relay.while_losing = lambda: client.put(key, ExecutionContext(user_id="in between"))
    async with opened(kind, relay.address, timeout=10) as relayed:
        ended = await relayed.ask(end)
        repeats = relay.of("Invalidate")
        assert len({call.request for call in repeats}) == 1
        assert len(repeats) == 3
        found = await client.get(key)
        assert found.context.user_id == "in between"
        assert ended.revision < found.version
        assert ended.count == (None if whole else 1)
        relay.while_losing = None
        assert (await relayed.ask(end)).revision > found.version
    with pytest.raises(NotFoundError):
        await client.get(key)


async def test_reads_are_sent_again(
    client: AsyncContextClient, relay: Relay, relayed: AsyncContextClient, key: ContextKey
) -> None:
    """A read whose answer was lost is repeated."""
    await client.put(key, ExecutionContext(user_id="u"))
    relay.answers_to_lose = 2
    assert (await relayed.get(key)).context.user_id == "u"
    assert len(relay.of("Get")) == 3


async def test_repetition_has_an_end(
    relay: Relay, relayed: AsyncContextClient, key: ContextKey
) -> None:
    """After three attempts a call raises UnavailableError, so that the store is not flooded."""
    relay.answers_to_lose = 100
    with pytest.raises(UnavailableError):
        await relayed.put(key, ExecutionContext())
    assert len(relay.of("Put")) == 3


async def test_a_connection_that_is_cut(
    server: Server, client: AsyncContextClient, key: ContextKey
) -> None:
    """A Put whose connection breaks before its answer is repeated on a new connection."""
    with Proxy(int(server.address.rpartition(":")[2])) as proxy:
        async with AsyncContextClient(f"127.0.0.1:{proxy.port}", timeout=10) as proxied:
            await proxied.put(key, ExecutionContext(user_id="warm"))
            before = await client.get(key)
            proxy.to_client.hold()  # the Put arrives, its answer does not
            put = asyncio.create_task(proxied.put(key, ExecutionContext(user_id="u")))
            await until_async(lambda: is_newer(client, key, before.version), what="the Put")
            proxy.cut()
            proxy.to_client.let_go()
            ref = await put
    after = await client.get(key)
    assert after.version == after.revision == ref.revision


async def is_newer(client: AsyncContextClient, key: ContextKey, version: int) -> bool:
    """Whether the entry was written after this version."""
    return (await client.get(key)).version > version
