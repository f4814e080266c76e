"""One interface for tests to clients of both kinds, blocking and asyncio.

A call starts as a user starts it. A blocking client's call is awaited in a thread, so
that the test's own event loop continues.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

import grpc
from grpc import StatusCode, aio
from relevo_client import (
    ContextRef,
    aio_client_interceptors,
    aio_context_channel,
    client_interceptors,
    context_channel,
    current_ref,
)

from support.servers.hosting import SERVICE
from support.servers.scenes import ITEMS
from support.servers.shapes import Kind

# A connection of its own: gRPC shares connections between equal channels.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
_TIMEOUT = 30.0  # for calls that are expected to end, so that a hang fails the test


class Outcome(NamedTuple):
    """The result of a call."""

    items: list[str]
    code: StatusCode
    details: str
    trailing: list[tuple[str, str | bytes]]
    refs: set[ContextRef | None]
    """The references that were current at the caller when items arrived."""


class Caller(Protocol):
    """Starts calls on a channel, and waits for them."""

    channel: Any

    def begin(
        self,
        arity: str,
        method: str = "Do",
        *,
        service: str = SERVICE,
        is_open: bool = False,
        **options: Any,
    ) -> Any:
        """Start a call. If `is_open`, a stream of requests stays open after its items."""
        ...

    async def take(self, call: Any, number: int) -> list[str]:
        """The next items of a stream of responses."""
        ...

    async def outcome(self, arity: str, call: Any) -> Outcome:
        """Wait for the result of a call."""
        ...


class BlockingCaller:
    """A blocking client. Unary answers are futures, so that every call can be cancelled."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel: Any = channel
        self._closed = threading.Event()

    def begin(
        self,
        arity: str,
        method: str = "Do",
        *,
        service: str = SERVICE,
        is_open: bool = False,
        **options: Any,
    ) -> Any:
        """Start a call."""
        callable_ = getattr(self.channel, arity)(f"/{service}/{method}")
        begin = callable_ if arity.endswith("stream") else callable_.future
        request = b"?" if arity.startswith("unary") else self._requests(is_open)
        return begin(request, **{"timeout": _TIMEOUT, **options})

    async def take(self, call: Any, number: int) -> list[str]:
        """The next items."""
        return [_text(await asyncio.to_thread(next, call)) for _ in range(number)]

    async def outcome(self, arity: str, call: Any) -> Outcome:
        """Wait for the result of a call."""
        return await asyncio.to_thread(self._outcome, arity, call)

    def close(self) -> None:
        """Cancel open calls, and close the channel."""
        self._closed.set()
        self.channel.close()

    def _requests(self, is_open: bool) -> Iterator[bytes]:
        for _ in range(ITEMS):
            yield b"?"
        if is_open:
            self._closed.wait()

    def _outcome(self, arity: str, call: Any) -> Outcome:
        items: list[str] = []
        refs: set[ContextRef | None] = set()
        try:
            for item in call if arity.endswith("stream") else [call.result()]:
                items.append(_text(item))
                refs.add(current_ref())
        except (grpc.RpcError, grpc.FutureCancelledError):
            refs.add(current_ref())
        return Outcome(items, call.code(), call.details(), list(call.trailing_metadata()), refs)


class AsyncCaller:
    """An asyncio client."""

    def __init__(self, channel: aio.Channel) -> None:
        self.channel: Any = channel
        self._closed = asyncio.Event()

    def begin(
        self,
        arity: str,
        method: str = "Do",
        *,
        service: str = SERVICE,
        is_open: bool = False,
        **options: Any,
    ) -> Any:
        """Start a call."""
        request = b"?" if arity.startswith("unary") else self._requests(is_open)
        begin = getattr(self.channel, arity)(f"/{service}/{method}")
        return begin(request, **{"timeout": _TIMEOUT, **options})

    async def take(self, call: Any, number: int) -> list[str]:
        """The next items."""
        items = aiter(call)
        return [_text(await anext(items)) for _ in range(number)]

    async def outcome(self, arity: str, call: Any) -> Outcome:
        """Wait for the result of a call."""
        items: list[str] = []
        refs: set[ContextRef | None] = set()
        try:
            if arity.endswith("stream"):
                async for item in call:
                    items.append(_text(item))
                    refs.add(current_ref())
            else:
                items.append(_text(await call))
        except (aio.AioRpcError, asyncio.CancelledError):
            pass
        refs.add(current_ref())
        trailing = await call.trailing_metadata()
        return Outcome(items, await call.code(), await call.details(), list(trailing or ()), refs)

    async def close(self) -> None:
        """Cancel open calls, and close the channel."""
        self._closed.set()
        await self.channel.close()

    async def _requests(self, is_open: bool) -> AsyncIterator[bytes]:
        for _ in range(ITEMS):
            yield b"?"
        if is_open:
            await self._closed.wait()


@asynccontextmanager
async def calling(
    kind: Kind,
    address: str,
    *,
    interceptors: Sequence[Any] | None = None,
    options: Sequence[tuple[str, Any]] = (),
    credentials: grpc.ChannelCredentials | None = None,
    wrapped: bool = False,
    **rules: Any,
) -> AsyncGenerator[Caller, None]:
    """A client of this kind with Relevo's interceptors, or with others in their place.

    If `wrapped`, it uses Relevo's channel instead, without interceptors.
    """
    options = (*_OPTIONS, *options)
    if wrapped:
        interceptors = ()
    if kind == "blocking":
        given = client_interceptors(**rules) if interceptors is None else interceptors
        channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        channel = grpc.intercept_channel(channel, *given)
        caller = BlockingCaller(context_channel(channel, **rules) if wrapped else channel)
        try:
            yield caller
        finally:
            caller.close()
    else:
        given = aio_client_interceptors(**rules) if interceptors is None else interceptors
        aio_channel = (
            aio.secure_channel(address, credentials, options, interceptors=given)
            if credentials
            else aio.insecure_channel(address, options, interceptors=given)
        )
        async_caller = AsyncCaller(
            aio_context_channel(aio_channel, **rules) if wrapped else aio_channel
        )
        try:
            yield async_caller
        finally:
            await async_caller.close()


def _text(item: bytes) -> str:
    return item.decode().rstrip()
