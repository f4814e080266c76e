"""Services that call the next service, in every shape of handler that their server supports.

A request names a tenant. Its handler compares the current context with that tenant at
every step, and calls the next service in a random shape.
"""

import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from grpc import aio
from relevo_client import aio_client_interceptors, client_interceptors, current_context

from support.servers.hosting import SERVICE, Methods, hosted
from support.servers.shapes import Behaviour, Kind

ARITIES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_MESSAGES = 2  # in a stream, either way
_TIMEOUT = 60.0


class Observer:
    """Compares the current context with the expected one, in any thread or task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.comparisons = 0
        """The number of comparisons."""
        self.strangers: list[tuple[str, str]] = []
        """The pairs of an expected tenant and the different one that was current."""

    def compare(self, expected: bytes) -> None:
        """Compare the current tenant with the expected one."""
        context = current_context()
        found = context.tenant_id if context else ""
        with self._lock:
            self.comparisons += 1
            if found != expected.decode():
                self.strangers.append((expected.decode(), found))


class Onward:
    """Channels of both kinds to the next service, with Relevo's interceptors."""

    def __init__(self, address: str, methods: Iterable[str]) -> None:
        self._methods = tuple(methods)
        self._blocking = grpc.intercept_channel(
            grpc.insecure_channel(address), *client_interceptors()
        )
        self._asyncio = aio.insecure_channel(address, interceptors=aio_client_interceptors())

    async def close(self) -> None:
        """Close the channels."""
        self._blocking.close()
        await self._asyncio.close()

    def call(self, tenant: bytes) -> None:
        """Call the next service from a thread."""
        arity, path = self._drawn()
        answer = getattr(self._blocking, arity)(path)(_requests(arity, tenant), timeout=_TIMEOUT)
        answers = list(answer) if arity.endswith("stream") else [answer]
        assert answers == [tenant] * len(answers)

    async def call_async(self, tenant: bytes) -> None:
        """Call the next service from a task."""
        arity, path = self._drawn()
        call = getattr(self._asyncio, arity)(path)(_requests(arity, tenant), timeout=_TIMEOUT)
        answers = [each async for each in call] if arity.endswith("stream") else [await call]
        assert answers == [tenant] * len(answers)

    def _drawn(self) -> tuple[str, str]:
        method = random.choice(self._methods)  # noqa: S311 - any mixture will do
        return method.partition("-")[0], f"/{SERVICE}/{method}"


class Relaying:
    """The handlers of one service; the last service has no `onward`."""

    def __init__(self, observer: Observer, onward: Onward | None) -> None:
        self._observer = observer
        self._onward = onward

    def methods(self, kind: Kind) -> Methods:
        """A method for each arity and shape, named after both."""
        plain = {f"{arity}-plain": (arity, self._plain(arity)) for arity in ARITIES}
        if kind == "blocking":
            return plain
        return plain | {
            "unary_unary-async": ("unary_unary", self._once_async),
            "unary_stream-async": ("unary_stream", self._items_async),
            "unary_stream-write": ("unary_stream", self._write),
            "stream_unary-async": ("stream_unary", self._once_async),
            "stream_stream-async": ("stream_stream", self._items_async),
            "stream_stream-write": ("stream_stream", self._write),
        }

    def _plain(self, arity: str) -> Behaviour:
        return self._items if arity.endswith("stream") else self._once

    def _items(self, request: Any, _: Any) -> Iterator[bytes]:
        onward = self._onward
        for tenant in [request] * _MESSAGES if isinstance(request, bytes) else request:
            self._observer.compare(tenant)
            if onward:
                onward.call(tenant)
                self._observer.compare(tenant)
                onward = None
            yield tenant

    def _once(self, request: Any, context: Any) -> bytes:
        return list(self._items(request, context))[-1]

    async def _items_async(self, request: Any, _: Any) -> AsyncIterator[bytes]:
        onward = self._onward
        async for tenant in _each(request):
            self._observer.compare(tenant)
            if onward:
                await onward.call_async(tenant)
                self._observer.compare(tenant)
                onward = None
            yield tenant

    async def _once_async(self, request: Any, context: Any) -> bytes:
        return [each async for each in self._items_async(request, context)][-1]

    async def _write(self, request: Any, context: Any) -> None:
        async for tenant in self._items_async(request, context):
            await context.write(tenant)


@asynccontextmanager
async def chained(
    kinds: Sequence[Kind],
    interceptors: Callable[[Kind], Sequence[Any]],
    observer: Observer,
    *,
    threads: int = 8,
) -> AsyncGenerator[Onward, None]:
    """Run a chain of services of these kinds, and yield the channels to the first one."""
    async with AsyncExitStack() as stack:
        onward: Onward | None = None
        for kind in reversed(kinds):
            methods = Relaying(observer, onward).methods(kind)
            host = await stack.enter_async_context(
                hosted(kind, methods, interceptors=interceptors(kind), threads=threads)
            )
            onward = Onward(host.address, methods)
            stack.push_async_callback(onward.close)
        assert onward, "at least one service"
        yield onward


def _requests(arity: str, tenant: bytes) -> Any:
    return tenant if arity.startswith("unary") else iter([tenant] * _MESSAGES)


async def _each(request: Any) -> AsyncIterator[bytes]:
    if isinstance(request, bytes):
        for _ in range(_MESSAGES):
            yield request
    else:
        async for each in request:
            yield each
