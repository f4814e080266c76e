"""Unavailable contexts, and handlers that refuse, end calls with typed statuses and fixed texts."""

import logging
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from grpc import StatusCode, aio
from relevo_client import (
    CHANNEL_OPTIONS,
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    aio_client_interceptors,
    aio_server_interceptor,
    use_context,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.wire import statuses
from support.servers.services import ServicerContext, method_of, service, silence
from support.servers.statuses import EVERY_ERROR

STORE = "relevo.v1.ContextStore"
DETAILS = "grpc-status-details-bin"

DOES_NOT_EXIST = StatusCode.FAILED_PRECONDITION, "the call's context does not exist"
INCOMPLETE = StatusCode.FAILED_PRECONDITION, "the call's context is incomplete"
NEWER = StatusCode.FAILED_PRECONDITION, "the call's context is newer than the store"
UNAVAILABLE = StatusCode.UNAVAILABLE, "the call's context cannot be resolved now"
FAILED = StatusCode.INTERNAL, "the call's context could not be resolved"


async def refusal(
    client: AsyncContextClient, ref: ContextRef, *, timeout: float | None = 10
) -> tuple[StatusCode, str]:
    """The error of a call whose context `client` has to resolve. The handler is never reached."""
    reached: list[bytes] = []

    async def do(request: bytes, _: Any) -> bytes:
        reached.append(request)
        return request

    metadata = (("context-key", ref.key.text), ("context-revision", str(ref.revision)))
    running = service({"Do": do}, interceptors=[aio_server_interceptor(client, trust_callers=True)])
    async with running as address, aio.insecure_channel(address) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await method_of(channel)(b"", metadata=metadata, timeout=timeout)
    assert reached == []
    assert DETAILS not in dict(caught.value.trailing_metadata() or ())
    return caught.value.code(), caught.value.details() or ""


async def test_an_entry_that_does_not_exist(client: AsyncContextClient, key: ContextKey) -> None:
    """No live entry: FAILED_PRECONDITION, as NOT_FOUND would be the handler's own status."""
    assert await refusal(client, ContextRef(key)) == DOES_NOT_EXIST


async def test_an_incomplete_context(client: AsyncContextClient, key: ContextKey) -> None:
    """A missing layer: FAILED_PRECONDITION, not a smaller context."""
    missing = ContextKey("agent_config", "acme", "secret-agent")
    ref = await client.put(key, ExecutionContext(includes=(missing,)))
    assert await refusal(client, ref) == INCOMPLETE


async def test_a_store_that_is_behind(client: AsyncContextClient, entry: ContextEntry) -> None:
    """A fence that the store has not reached: FAILED_PRECONDITION, not an older context."""
    assert await refusal(client, ContextRef(entry.key, entry.revision + 1)) == NEWER


async def test_a_store_that_is_down(key: ContextKey) -> None:
    """No server listens: UNAVAILABLE."""
    async with AsyncContextClient("127.0.0.1:1") as client:
        assert await refusal(client, ContextRef(key)) == UNAVAILABLE


async def test_a_store_that_goes_down(settings: Settings, key: ContextKey) -> None:
    """If the store stops, the next call is UNAVAILABLE."""
    async with Server(settings) as server:
        client = AsyncContextClient(server.address, timeout=10)
        ref = await client.put(key, ExecutionContext())
    assert await refusal(client, ref) == UNAVAILABLE
    await client.close()


async def test_a_store_that_is_silent(key: ContextKey) -> None:
    """A call to a silent store is UNAVAILABLE before its own deadline."""
    async with (
        service({"Get": silence}, name=STORE) as address,
        AsyncContextClient(address, timeout=0.3) as client,
    ):
        began = monotonic()
        assert await refusal(client, ContextRef(key)) == UNAVAILABLE
        assert await refusal(client, ContextRef(key), timeout=None) == UNAVAILABLE
        code, _ = await refusal(client, ContextRef(key), timeout=0.1)
        assert code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAVAILABLE)
        assert monotonic() - began < 10


@pytest.mark.parametrize(
    "error",
    [error for error in EVERY_ERROR if error.code is not StatusCode.INVALID_ARGUMENT],
    ids=lambda error: error.reason,
)
async def test_no_text_of_the_store_gets_out(error: Any, key: ContextKey) -> None:
    """Whatever the store's error, the caller gets one of the fixed texts."""

    async def get(_: bytes, context: ServicerContext) -> bytes:
        details = statuses.status_of(error).SerializeToString()
        await context.abort(error.code, "internals: 10.0.0.7", ((DETAILS, details),))

    async with (
        service({"Get": get}, name=STORE) as address,
        AsyncContextClient(address, timeout=10) as client,
    ):
        expected = {
            "NO_ENTRY": DOES_NOT_EXIST,
            "STORE_BEHIND": NEWER,
            "STORE_UNAVAILABLE": UNAVAILABLE,
            "SERVER_STOPPING": UNAVAILABLE,
            "TOO_MANY_REQUESTS": UNAVAILABLE,
            "QUOTA_EXCEEDED": UNAVAILABLE,
        }
        assert await refusal(client, ContextRef(key)) == expected.get(error.reason, FAILED)


async def test_an_answer_that_cannot_be_read(key: ContextKey) -> None:
    """If the store's answer is unreadable, the caller gets a fixed text without its details."""

    async def get(_: bytes, __: Any) -> bytes:
        return b"\xff\xff\xff"

    async with (
        service({"Get": get}, name=STORE) as address,
        AsyncContextClient(address, timeout=10) as client,
    ):
        assert await refusal(client, ContextRef(key)) == FAILED


async def test_a_client_whose_channel_is_closed(server: Server, key: ContextKey) -> None:
    """If the client's channel was closed, as in a shutdown, the caller gets a fixed text."""
    channel = aio.insecure_channel(server.address, CHANNEL_OPTIONS)
    async with channel, AsyncContextClient(channel=channel, timeout=10) as client:
        await client.put(key, ExecutionContext())
        await channel.close()
        assert await refusal(client, ContextRef(key)) in (UNAVAILABLE, FAILED)


@pytest.fixture
async def aborting(client: AsyncContextClient) -> AsyncIterator[aio.Channel]:
    """A channel to a service whose handlers abort, in several ways."""

    async def abort(_: bytes, context: ServicerContext) -> bytes:
        await context.abort(StatusCode.NOT_FOUND, "no such document", (("x-why", "deleted"),))

    async def by_code(_: bytes, context: ServicerContext) -> bytes:
        context.set_code(StatusCode.RESOURCE_EXHAUSTED)
        context.set_details("quota")
        return b""

    async def crash(_: bytes, __: Any) -> bytes:
        raise RuntimeError("a defect")

    methods = {"Abort": abort, "ByCode": by_code, "Crash": crash}
    async with service(
        methods, interceptors=[aio_server_interceptor(client, trust_callers=True)]
    ) as address:
        interceptors = aio_client_interceptors()
        async with aio.insecure_channel(address, interceptors=interceptors) as channel:
            yield channel


async def test_abort_passes_unchanged_and_unlogged(
    aborting: aio.Channel, entry: ContextEntry, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler's abort reaches the caller unchanged, with trailers, and is not logged."""
    caplog.set_level(logging.DEBUG)
    with use_context(entry), pytest.raises(aio.AioRpcError) as caught:
        await method_of(aborting, "Abort")(b"", timeout=5)
    assert (caught.value.code(), caught.value.details()) == (
        StatusCode.NOT_FOUND,
        "no such document",
    )
    assert ("x-why", "deleted") in list(caught.value.trailing_metadata() or ())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    with use_context(entry), pytest.raises(aio.AioRpcError) as caught:
        await method_of(aborting, "ByCode")(b"", timeout=5)
    assert (caught.value.code(), caught.value.details()) == (
        StatusCode.RESOURCE_EXHAUSTED,
        "quota",
    )


async def test_a_refusal_is_not_logged_as_a_crash(
    client: AsyncContextClient, key: ContextKey, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that is refused for its context is not logged as a crash of the service."""
    caplog.set_level(logging.DEBUG)
    assert await refusal(client, ContextRef(key)) == DOES_NOT_EXIST
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_crash_of_the_handler_is_grpcs_to_tell(
    aborting: aio.Channel, entry: ContextEntry, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of a handler ends as without Relevo: UNKNOWN, and logged by gRPC."""
    with use_context(entry), pytest.raises(aio.AioRpcError) as caught:
        await method_of(aborting, "Crash")(b"", timeout=5)
    assert caught.value.code() is StatusCode.UNKNOWN
    assert any("a defect" in (record.exc_text or record.getMessage()) for record in caplog.records)
