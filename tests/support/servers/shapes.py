"""Handlers of every shape that gRPC supports, which record their observations."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, Literal

from grpc import aio

from support.servers.scenes import ITEMS, Ending, Scene

Behaviour = Callable[[Any, Any], Any]
Kind = Literal["blocking", "asyncio"]


@dataclass(frozen=True)
class Shape:
    """The shape of a handler. `server` is the kind of server that it runs on."""

    server: Kind
    arity: str
    name: str
    make: Callable[[Scene], Behaviour]
    """Makes the handler that plays a scene."""

    def __str__(self) -> str:
        return f"{self.arity}, {self.name} on {self.server}"

    @property
    def streams(self) -> bool:
        """Whether it responds with a stream."""
        return self.arity.endswith("stream")

    @property
    def is_plain_on_asyncio(self) -> bool:
        """Whether it runs in a thread of an asyncio server."""
        return self.server == "asyncio" and self.make in (function, generator, iterator)

    def can_have(self, ending: Ending) -> bool:
        """Whether gRPC itself supports this ending for the shape."""
        if ending is Ending.ABORT_WITH_STATUS:
            # The servicer context of such a thread has no such method.
            return not self.is_plain_on_asyncio
        if ending is Ending.CANCEL_AMID_ITEMS:
            # Such a thread waits forever to hand over an item that is never read.
            return self.streams and not self.is_plain_on_asyncio
        return True


def function(scene: Scene) -> Behaviour:
    """A plain function."""

    def handler(request: Any, context: Any) -> bytes:
        with scene.playing():
            for _ in _received(scene, request):
                scene.see()
            scene.end(context)
            return scene.see()

    return handler


def generator(scene: Scene) -> Behaviour:
    """A plain generator function."""

    def handler(request: Any, context: Any) -> Iterator[bytes]:
        with scene.playing():
            for _ in _received(scene, request):
                yield scene.see()
            scene.end(context)

    return handler


def iterator(scene: Scene) -> Behaviour:
    """A plain function that returns an iterator, which is not a generator and cannot be closed."""

    def handler(request: Any, context: Any) -> Iterator[bytes]:
        return map(bytes, generator(scene)(request, context))

    return handler


def coroutine(scene: Scene) -> Behaviour:
    """A coroutine function that returns one response."""

    async def handler(request: Any, context: Any) -> bytes:
        with scene.playing():
            async for _ in _received_async(scene, request):
                scene.see()
            await scene.end_async(context)
            return scene.see()

    return handler


def reading_coroutine(scene: Scene) -> Behaviour:
    """A coroutine function that reads each request."""

    async def handler(_: Any, context: Any) -> bytes:
        with scene.playing():
            while await context.read() is not aio.EOF:
                scene.see()
            await scene.end_async(context)
            return scene.see()

    return handler


def writing_coroutine(scene: Scene) -> Behaviour:
    """A coroutine function that writes its responses."""

    async def handler(request: Any, context: Any) -> None:
        with scene.playing():
            async for _ in _received_async(scene, request):
                await context.write(scene.see())
            await scene.end_async(context)

    return handler


def reading_and_writing_coroutine(scene: Scene) -> Behaviour:
    """A coroutine function that reads each request, and writes its responses."""

    async def handler(_: Any, context: Any) -> None:
        with scene.playing():
            while await context.read() is not aio.EOF:
                for _ in _answers(scene):
                    await context.write(scene.see())
            await scene.end_async(context)

    return handler


def async_generator(scene: Scene) -> Behaviour:
    """An async generator function."""

    async def handler(request: Any, context: Any) -> AsyncIterator[bytes]:
        with scene.playing():
            async for _ in _received_async(scene, request):
                yield scene.see()
            await scene.end_async(context)

    return handler


_HANDLERS: Sequence[tuple[Kind, str, Callable[[Scene], Behaviour], Sequence[str]]] = (
    ("blocking", "function", function, ("unary_unary", "stream_unary")),
    ("blocking", "generator", generator, ("unary_stream", "stream_stream")),
    ("blocking", "iterator", iterator, ("unary_stream", "stream_stream")),
    ("asyncio", "coroutine", coroutine, ("unary_unary", "stream_unary")),
    ("asyncio", "reading coroutine", reading_coroutine, ("stream_unary",)),
    ("asyncio", "async generator", async_generator, ("unary_stream", "stream_stream")),
    ("asyncio", "writing coroutine", writing_coroutine, ("unary_stream", "stream_stream")),
    ("asyncio", "reading writer", reading_and_writing_coroutine, ("stream_stream",)),
    ("asyncio", "function", function, ("unary_unary", "stream_unary")),
    ("asyncio", "generator", generator, ("unary_stream", "stream_stream")),
    ("asyncio", "iterator", iterator, ("unary_stream", "stream_stream")),
)
"""The makers of handlers, each with its arities."""

SHAPES = [
    Shape(server, arity, name, make)
    for server, name, make, arities in _HANDLERS
    for arity in arities
]
"""Every shape, on every kind of server that supports it."""


def _received(scene: Scene, request: Any) -> Iterable[object]:
    """The requests; a unary request is repeated for each response."""
    requests = repeat(request, ITEMS) if isinstance(request, bytes) else request
    return (each for each in requests for _ in _answers(scene))


async def _received_async(scene: Scene, request: Any) -> AsyncIterator[object]:
    if isinstance(request, bytes):
        for each in _received(scene, request):
            yield each
    else:
        async for each in request:
            for _ in _answers(scene):
                yield each


def _answers(scene: Scene) -> Iterable[int]:
    """The responses to a request: endless, if the client is to cancel among them."""
    return count() if scene.ending is Ending.CANCEL_AMID_ITEMS else range(1)
