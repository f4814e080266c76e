"""A handler has the context that its call names, and no other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    aio_client_interceptors,
    aio_server_interceptor,
    require_context,
    use_context,
)
from relevo_server.server import Server
from support.entries import entry_of
from support.servers.relay import Relay
from support.servers.services import Seen, ServicerContext, method_of, see, seen, service
from support.strategies import on_real_servers

KEY = "context-key"
REVISION = "context-revision"


@pytest.fixture
async def address(client: AsyncContextClient) -> AsyncIterator[str]:
    """A service whose handlers have the context of their call."""
    async with service(
        {"Do": see}, interceptors=[aio_server_interceptor(client, trust_callers=True)]
    ) as address:
        yield address


@pytest.fixture
async def plain(address: str) -> AsyncIterator[aio.Channel]:
    """A channel to it without Relevo's interceptor."""
    async with aio.insecure_channel(address) as channel:
        yield channel


async def call(channel: aio.Channel, *metadata: tuple[str, str]) -> Seen:
    """The handler's view of a call with this metadata."""
    return seen(await method_of(channel)(b"", metadata=metadata, timeout=5))


async def status_of(channel: aio.Channel, *metadata: tuple[str, str]) -> tuple[StatusCode, str]:
    """The error of a call with this metadata."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call(channel, *metadata)
    return caught.value.code(), caught.value.details() or ""


async def test_the_handler_sees_the_callers_context(
    address: str, client: AsyncContextClient, entry: ContextEntry
) -> None:
    """The handler has the caller's current context, in the same version or a newer one."""
    async with aio.insecure_channel(address, interceptors=aio_client_interceptors()) as channel:
        with use_context(entry):
            found = await call(channel)
            assert (found.user, found.ref) == ("u-1", str(entry.ref))
            newer = await client.update(entry.key, {"user_id": "u-2"})
            found = await call(channel)
            assert (found.user, found.ref) == ("u-2", str(newer))


async def test_a_key_is_enough(plain: aio.Channel, entry: ContextEntry) -> None:
    """Without a revision, the handler has the store's current context."""
    assert (await call(plain, (KEY, entry.key.text))).user == "u-1"


async def test_two_equal_references_are_one(plain: aio.Channel, entry: ContextEntry) -> None:
    """The same reference may arrive several times, as through two interceptors."""
    twice = ((KEY, entry.key.text), (REVISION, str(entry.revision))) * 2
    assert (await call(plain, *twice)).user == "u-1"


async def test_references_that_were_seen_before(
    plain: aio.Channel, client: AsyncContextClient, entry: ContextEntry
) -> None:
    """A call that names two contexts is refused, also if both were seen alone before."""
    other = ContextKey("conversation", "acme", "c-2")
    await client.put(other, ExecutionContext(user_id="u-2", tenant_id="acme"))
    texts = (entry.key.text, other.text)
    assert [(await call(plain, (KEY, text))).user for text in texts] == ["u-1", "u-2"]
    for keys in (texts, texts[::-1]):
        code, _ = await status_of(plain, *((KEY, text) for text in keys))
        assert code is StatusCode.INVALID_ARGUMENT
    assert (await call(plain, (KEY, texts[0]), ("x-a", "1"), ("x-a", "2"))).user == "u-1"


@pytest.mark.parametrize(
    "metadata",
    [
        ((KEY, "acme"),),
        ((KEY, ""),),
        ((KEY, "a:b:%"),),
        ((KEY, "a:b:%00"),),
        ((KEY, "a:b:%ff"),),
        ((KEY, "a:b:c:d"),),
        ((KEY, "a:b:" + "c" * 257),),
        ((KEY, "a:b:" + "%41" * 256),),
        ((KEY, "x" * 4000),),
        ((KEY, "a:b:c"), (KEY, "a:b:d")),
        ((KEY, "a:b:c"), (REVISION, "1"), (REVISION, "2")),
        ((KEY, "a:b:c"), (REVISION, "")),
        ((KEY, "a:b:c"), (REVISION, "x")),
        ((KEY, "a:b:c"), (REVISION, "-1")),
        ((KEY, "a:b:c"), (REVISION, "+1")),
        ((KEY, "a:b:c"), (REVISION, "1.0")),
        ((KEY, "a:b:c"), (REVISION, "0x10")),
        ((KEY, "a:b:c"), (REVISION, "1_000")),
        ((KEY, "a:b:c"), (REVISION, str(1 << 63))),
        ((KEY, "a:b:c"), (REVISION, "9" * 400)),
    ],
    ids=lambda value: ascii(value)[:60],
)
async def test_malformed_references_are_refused(
    plain: aio.Channel, metadata: tuple[tuple[str, str], ...]
) -> None:
    """A malformed reference, or two different ones, is INVALID_ARGUMENT with a fixed text."""
    assert await status_of(plain, *metadata) == (
        StatusCode.INVALID_ARGUMENT,
        "the call's context reference is malformed",
    )


@on_real_servers
@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    revision=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=22),
)
async def test_no_reference_breaks_the_server(plain: aio.Channel, key: str, revision: str) -> None:
    """Any metadata gives a documented status and text, never an internal error."""
    assert await status_of(plain, (KEY, key), (REVISION, revision)) in [
        (StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed"),
        (StatusCode.FAILED_PRECONDITION, "the call's context does not exist"),
        (StatusCode.FAILED_PRECONDITION, "the call's context is newer than the store"),
    ]


async def test_the_largest_revision(plain: aio.Channel, entry: ContextEntry) -> None:
    """The revision 2^63 - 1 is valid, and one that this store has not reached."""
    code, text = await status_of(plain, (KEY, entry.key.text), (REVISION, str((1 << 63) - 1)))
    assert (code, text) == (
        StatusCode.FAILED_PRECONDITION,
        "the call's context is newer than the store",
    )
    assert (await call(plain, (KEY, entry.key.text), (REVISION, "0"))).user == "u-1"


async def test_a_call_without_a_key_has_no_context(client: AsyncContextClient) -> None:
    """Without a key a handler has no context, also not the one in which the server started."""
    with use_context(entry_of("ambient")):
        running = service(
            {"Do": see}, interceptors=[aio_server_interceptor(client, trust_callers=True)]
        )
        async with running as address, aio.insecure_channel(address) as channel:
            for metadata in ((), ((REVISION, "7"),)):
                found = await call(channel, *metadata)
                assert (found.user, found.ref) == (None, None)


async def test_the_store_is_not_asked_without_a_key(server: Server) -> None:
    """A call without a key makes no call to the store; one with a key makes one Get."""
    async with (
        Relay(server.address) as relay,
        AsyncContextClient(relay.address, timeout=10) as client,
    ):
        ref = await client.put(ContextKey("a", "b", "c"), ExecutionContext(user_id="u"))
        running = service(
            {"Do": see}, interceptors=[aio_server_interceptor(client, trust_callers=True)]
        )
        async with running as address, aio.insecure_channel(address) as channel:
            await call(channel)
            assert relay.of("Get") == []
            await call(channel, (KEY, ref.key.text))
            assert len(relay.of("Get")) == 1


async def test_a_handler_that_is_a_plain_function(
    client: AsyncContextClient, entry: ContextEntry
) -> None:
    """On an asyncio server, a plain function runs in a thread, and has its context there."""
    users: list[str] = []

    def do(request: bytes, context: Any) -> bytes:
        del context
        users.append(require_context().user_id)
        return request

    running = service({"Do": do}, interceptors=[aio_server_interceptor(client, trust_callers=True)])
    async with running as address, aio.insecure_channel(address) as channel:
        metadata = ((KEY, entry.key.text),)
        assert await method_of(channel)(b"answer", metadata=metadata, timeout=5) == b"answer"
    assert users == ["u-1"]


async def test_the_handlers_own_arguments(client: AsyncContextClient, entry: ContextEntry) -> None:
    """The servicer context is gRPC's own, with metadata, peer, deadline, trailers and codes."""

    async def do(request: bytes, context: ServicerContext) -> bytes:
        assert (KEY, entry.key.text) in [(n, v) for n, v in context.invocation_metadata() or ()]
        assert "127.0.0.1" in context.peer()
        assert 0 < (context.time_remaining() or 0) < 6  # gRPC rounds a little
        await context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"),))
        context.set_code(StatusCode.NOT_FOUND)
        context.set_details("by set_code")
        return request

    running = service({"Do": do}, interceptors=[aio_server_interceptor(client, trust_callers=True)])
    async with running as address, aio.insecure_channel(address) as channel:
        done = method_of(channel)(b"", metadata=((KEY, entry.key.text),), timeout=5)
        assert ("x-initial", "1") in list(await done.initial_metadata())
        assert ("x-trailing", "2") in list(await done.trailing_metadata())
        assert (await done.code(), await done.details()) == (StatusCode.NOT_FOUND, "by set_code")


async def test_an_unknown_method(plain: aio.Channel, entry: ContextEntry) -> None:
    """An unknown method is UNIMPLEMENTED, with and without a key."""
    for metadata in ((), ((KEY, entry.key.text),), ((KEY, "malformed"),)):
        with pytest.raises(aio.AioRpcError) as caught:
            await method_of(plain, "Nothing")(b"", metadata=metadata, timeout=5)
        assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_health_checks_need_no_context() -> None:
    """A health check is answered with any metadata, and without the store."""
    async with AsyncContextClient("127.0.0.1:1") as nowhere:
        server = aio.server(interceptors=[aio_server_interceptor(nowhere, trust_callers=True)])
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = method_of(channel, "Check", name=health.SERVICE_NAME)
            for metadata in ((), ((KEY, "a:b:c"),), ((KEY, "malformed"),)):
                answer = await check(b"", metadata=metadata, timeout=5)
                response = health_pb2.HealthCheckResponse.FromString(answer)
                assert response.status == health_pb2.HealthCheckResponse.SERVING
        await server.stop(None)
