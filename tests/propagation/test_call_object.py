"""The caller's call object works as without Relevo."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode, aio
from relevo_client import aio_client_interceptors, use_context
from support.entries import entry_of
from support.network.proxy import Proxy
from support.servers.services import ServicerContext, method_of, see, seen, service

ENTRY = entry_of("u")


class Service:
    """Handlers that report their calls, and how each call ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def answer(self, request: bytes, context: ServicerContext) -> bytes:
        """Answer with metadata at both ends."""
        await context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"),))
        return request

    async def hang(self, _: bytes, __: Any) -> bytes:
        """Never answer."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""


@pytest.fixture
def handlers() -> Service:
    """The handlers of the service."""
    return Service()


@pytest.fixture
async def address(handlers: Service) -> AsyncIterator[str]:
    """The running service."""
    methods = {"Answer": handlers.answer, "Hang": handlers.hang, "Do": see}
    async with service(methods) as address:
        yield address


@pytest.fixture
async def channel(address: str) -> AsyncIterator[aio.Channel]:
    """A channel with Relevo's interceptor."""
    interceptors = aio_client_interceptors()
    async with aio.insecure_channel(address, interceptors=interceptors) as channel:
        yield channel


def begin(
    channel: aio.Channel, method: str, request: bytes = b"", **options: Any
) -> "aio.UnaryUnaryCall[bytes, bytes]":
    """Begin a call that carries a reference."""
    with use_context(ENTRY):
        return method_of(channel, method)(request, **options)


async def result_of(call: "aio.UnaryUnaryCall[bytes, bytes]") -> bytes:
    """Wait for a call, in a task."""
    return await call


async def test_metadata_and_status(channel: aio.Channel) -> None:
    """Initial and trailing metadata, code and details are available before and after the answer."""
    call = begin(channel, "Answer", b"x", timeout=5)
    assert ("x-initial", "1") in list(await call.initial_metadata())
    assert await call == b"x"
    assert ("x-trailing", "2") in list(await call.trailing_metadata())
    assert await call.code() is StatusCode.OK
    assert await call.details() == ""
    assert call.done()
    assert not call.cancelled()
    assert not call.cancel()


async def test_done_callbacks(channel: aio.Channel) -> None:
    """Each done callback runs once."""
    told: list[object] = []
    call = begin(channel, "Answer", timeout=5)
    call.add_done_callback(told.append)
    await call
    await call.code()
    assert len(told) == 1


async def test_cancel(channel: aio.Channel, handlers: Service) -> None:
    """Cancelling the call reaches the handler; the caller gets CancelledError."""
    call = begin(channel, "Hang", timeout=20)
    waiting = asyncio.create_task(result_of(call))
    await handlers.begun.wait()
    assert not call.done()
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert call.cancelled()
    assert await call.code() is StatusCode.CANCELLED
    async with asyncio.timeout(10):
        await handlers.cancelled.wait()


async def test_cancelling_the_caller(channel: aio.Channel, handlers: Service) -> None:
    """Cancelling the task that waits cancels the call, down to the handler."""
    waiting = asyncio.create_task(result_of(begin(channel, "Hang", timeout=20)))
    await handlers.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(10):
        await handlers.cancelled.wait()


async def test_timeout(channel: aio.Channel) -> None:
    """A call ends at its deadline with DEADLINE_EXCEEDED."""
    with pytest.raises(aio.AioRpcError) as caught:
        await begin(channel, "Hang", timeout=0.1)
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED


async def test_wait_for_ready(port: int) -> None:
    """A call that waits for a server is sent with its reference when the server is up."""
    async with aio.insecure_channel(
        f"127.0.0.1:{port}",
        options=[("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50)],
        interceptors=aio_client_interceptors(),
    ) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await begin(channel, "Do", timeout=5)
        assert caught.value.code() is StatusCode.UNAVAILABLE
        waiting = asyncio.create_task(
            result_of(begin(channel, "Do", timeout=10, wait_for_ready=True))
        )
        async with service({"Do": see}, port=port):
            assert ("context-key", ENTRY.key.text) in seen(await waiting).metadata


async def test_compression(address: str) -> None:
    """A call is compressed if, and only if, it requests compression."""
    request = b"0" * 100_000
    with Proxy(int(address.rpartition(":")[2])) as proxy:
        target, interceptors = f"127.0.0.1:{proxy.port}", aio_client_interceptors()
        async with aio.insecure_channel(target, interceptors=interceptors) as channel:
            sent: list[int] = []
            for compression in (None, grpc.Compression.Gzip):
                before = proxy.to_server.bytes
                await begin(channel, "Answer", request, timeout=5, compression=compression)
                sent.append(proxy.to_server.bytes - before)
    plain, compressed = sent
    assert compressed < 10_000 < len(request) < plain
