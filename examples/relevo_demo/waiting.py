"""Measures how long calls wait for their context. Only the demo needs this."""

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from grpc import aio

Behaviour = Callable[[Any, Any], Awaitable[Any]]
_arrived: ContextVar[float] = ContextVar("arrived")
_waited: ContextVar[float] = ContextVar("waited")


def waited() -> float:
    """The seconds from the arrival of the current call until its handler had its context."""
    return _waited.get()


def note_wait(seconds: float) -> None:
    """Note how long a handler has waited that resolves the context of its call by itself."""
    _waited.set(seconds)


def measured(interceptor: aio.ServerInterceptor) -> list[aio.ServerInterceptor]:
    """An interceptor that makes contexts current, between two that look at a clock."""
    return [_Wrapping(_arriving), interceptor, _Wrapping(_beginning)]


class _Wrapping(aio.ServerInterceptor):
    """Wraps the handlers of unary calls, which all calls of the demo are."""

    def __init__(self, wrap: Callable[[Behaviour], Behaviour]) -> None:
        self._wrap = wrap

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a call. A method that does not exist has none."""
        handler = await continuation(handler_call_details)
        return handler and grpc.unary_unary_rpc_method_handler(
            self._wrap(handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )


def _arriving(behaviour: Behaviour) -> Behaviour:
    async def noted(request: Any, context: Any) -> Any:
        _arrived.set(time.perf_counter())
        return await behaviour(request, context)

    return noted


def _beginning(behaviour: Behaviour) -> Behaviour:
    async def noted(request: Any, context: Any) -> Any:
        _waited.set(time.perf_counter() - _arrived.get())
        return await behaviour(request, context)

    return noted
