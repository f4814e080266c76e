"""Wraps gRPC handlers of every shape so that a context is current while they run.

`enter(servicer_context)` returns the value to make current in a call, or ends the call. The
wrapped handler keeps its shape: gRPC and outer interceptors tell shapes apart by the kind of
function. gRPC's servicer context is passed on as it is. A handler that needs a context and
has none ends its call with a typed status, like a call that is rejected before its handler.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from contextvars import copy_context
from typing import Any, TypeAlias

import grpc

from relevo_client._context.current import set_current
from relevo_client._context.deferred import CURRENT, Current
from relevo_client._context.fences import FENCES
from relevo_client._propagation.refusals import NEEDS_CONTEXT
from relevo_client._propagation.unmet import aio_end, end, refusal_of

Behaviour: TypeAlias = Callable[..., Any]
Enter: TypeAlias = Callable[[Any], Current]
AsyncEnter: TypeAlias = Callable[[Any], Current | Coroutine[Any, Any, Current]]

ARITIES: dict[str, Callable[..., Any]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}
"""gRPC's constructors of method handlers, by arity."""


class HandlerWrapper:
    """Wraps method handlers, once for each method.

    `wrap(method, streams, behaviour)` returns the wrapped behaviour; `streams` is whether it
    returns a stream of responses.
    """

    _MAX_METHODS = 1024  # methods that are kept: a generic handler may accept any name

    def __init__(self, wrap: Callable[[str, bool, Behaviour], Behaviour]) -> None:
        self._wrap = wrap
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    def __call__(self, method: str, handler: Any) -> Any:
        """The handler with its behaviour wrapped, of the same arity."""
        original, wrapped = self._wrapped.get(method, (None, None))
        if original is not handler:
            wrapped = self._wrapped_handler(method, handler)
            if len(self._wrapped) < self._MAX_METHODS:
                self._wrapped[method] = handler, wrapped
        return wrapped

    def _wrapped_handler(self, method: str, handler: Any) -> Any:
        arity = "_".join(
            "stream" if streams else "unary"
            for streams in (handler.request_streaming, handler.response_streaming)
        )
        behaviour = self._wrap(method, handler.response_streaming, getattr(handler, arity))
        make = ARITIES[arity]
        return make(behaviour, handler.request_deserializer, handler.response_serializer)


# On an asyncio server each call has a task of its own, so its current context is set and never
# reset.


def coroutine(enter: AsyncEnter, behaviour: Behaviour) -> Behaviour:
    """Wrap a coroutine function: one response, or a stream written with `context.write`."""

    async def with_context(request: Any, context: Any) -> Any:
        current = enter(context)
        if not isinstance(current, CURRENT):  # most contexts are cached, and need no await
            current = await current
        set_current(current)
        fences = FENCES.get()
        try:
            return await behaviour(request, context)
        except NEEDS_CONTEXT as error:
            await aio_end(context, error, behaviour)
            raise
        finally:
            if fences:
                fences.end()

    return with_context


def async_generator(enter: AsyncEnter, behaviour: Behaviour) -> Behaviour:
    """Wrap an async generator function: a stream of responses."""

    async def with_context(request: Any, context: Any) -> AsyncIterator[Any]:
        current = enter(context)
        if not isinstance(current, CURRENT):
            current = await current
        set_current(current)
        fences = FENCES.get()
        try:
            async with aclosing(behaviour(request, context)) as items:
                try:
                    async for item in items:
                        yield item
                except NEEDS_CONTEXT as error:
                    await aio_end(context, error, behaviour)
                    raise
                finally:
                    # A generator that is closed early ends in another task than it began in.
                    set_current(current)
                    FENCES.set(fences)
        finally:
            if fences:
                fences.end()

    return with_context


# A worker thread outlives its calls, so a handler there runs in a contextvars.Context of its
# own: it leaves nothing behind in the thread, and a generator that is closed later is closed
# within its own context.


def function(enter: Enter, behaviour: Behaviour) -> Behaviour:
    """Wrap a plain function that runs in a worker thread: one response."""

    def in_scope(request: Any, context: Any) -> Any:
        set_current(enter(context))
        fences = FENCES.get()
        try:
            return behaviour(request, context)
        except NEEDS_CONTEXT as error:
            end(context, error, behaviour)
            raise
        finally:
            if fences:
                fences.end()

    def with_context(request: Any, context: Any) -> Any:
        return copy_context().run(in_scope, request, context)

    return with_context


def generator(enter: Enter, behaviour: Behaviour) -> Behaviour:
    """Wrap a function that returns an iterator in a worker thread: a stream of responses.

    It enters when the first item is requested: an asyncio server calls the function on the
    event loop, and only requests the items in a thread.
    """

    def with_context(request: Any, context: Any) -> Iterator[Any]:
        scope = copy_context()
        scope.run(lambda: set_current(enter(context)))
        items: list[Any] = []
        try:
            items.append(scope.run(behaviour, request, context))
            while True:
                try:
                    item = scope.run(next, items[0])
                except StopIteration:
                    return
                yield item
        except NEEDS_CONTEXT as error:
            refusal = scope.run(refusal_of, error, behaviour)
            if refusal is None:
                raise
            # Not `abort`: from a thread of an asyncio server, it overtakes items that gRPC has
            # not sent yet.
            context.set_code(refusal.code)
            context.set_details(refusal.text)
        finally:
            if items and hasattr(items[0], "close"):
                scope.run(items[0].close)
            # An iterator without `close` ends with the last reference to it.
            scope.run(items.clear)
            fences = scope.get(FENCES)
            if fences:
                fences.end()

    return with_context
