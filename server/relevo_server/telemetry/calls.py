"""Measures RPCs: their durations, and a span for each that continues its caller's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any, Protocol, TypeAlias

import grpc
from grpc import RpcMethodHandler, StatusCode, aio
from opentelemetry.trace import Span

from relevo_server.telemetry import spans
from relevo_server.telemetry.histograms import Series
from relevo_server.telemetry.telemetry import Telemetry

_FAILURES = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)
"""The statuses that are the server's failures; all others are answers to the caller:
https://opentelemetry.io/docs/specs/semconv/rpc/grpc/"""
_CODES: dict[int, StatusCode] = {code.value[0]: code for code in StatusCode}

# Quoted: only the stubs of grpcio know it as generic.
Handler: TypeAlias = "RpcMethodHandler[Any, Any]"
Handlers: TypeAlias = Mapping[str, Handler]
Context = aio.ServicerContext[Any, Any]


class Registry(Protocol):
    """A registry of services' handlers, as `grpc.aio.Server` is."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Register the handlers of a service by the names of their methods."""


def measured_handlers(service_name: str, handlers: Handlers, telemetry: Telemetry) -> Handlers:
    """The handlers of a service, with a measurement around each.

    They are the same ones if nothing is measured, so that a call costs nothing more.
    """
    if telemetry.calls is None and telemetry.tracer is None:
        return handlers
    return {
        name: _measured(handler, _Method(f"{service_name}/{name}", telemetry))
        for name, handler in handlers.items()
    }


class _Method:
    """The measurements of one method."""

    def __init__(self, name: str, telemetry: Telemetry) -> None:
        self._attributes = {"rpc.system.name": "grpc", "rpc.method": name}
        self._calls = telemetry.calls
        self._tracer = telemetry.tracer
        self._series: dict[StatusCode, Series] = {}
        self.name = name

    def begin(self, context: Context) -> tuple[float, Span | None]:
        """Begin a call, in the task that gRPC has made for it."""
        if self._tracer is None:
            return perf_counter(), None
        metadata = context.invocation_metadata() or ()
        span = spans.begin_server_span(self._tracer, self.name, metadata, self._attributes)
        return perf_counter(), span

    def end(self, begun: tuple[float, Span | None], code: StatusCode) -> None:
        """End a call with its status."""
        started, span = begun
        if self._calls:
            series = self._series.get(code)
            if series is None:
                attributes = {**self._attributes, **_attributes_of(code)}
                series = self._series[code] = self._calls.series(attributes)
            series.record(perf_counter() - started)
        if span:
            spans.end(span, _attributes_of(code), failed=code in _FAILURES)


def _attributes_of(code: StatusCode) -> dict[str, str]:
    attributes = {"rpc.response.status_code": code.name}
    if code in _FAILURES:
        attributes["error.type"] = code.name
    return attributes


def _measured(handler: Handler, method: _Method) -> Handler:
    """The same handler, measured. Plain functions: gRPC's inspection of others takes longer."""
    known = handler.request_deserializer, handler.response_serializer
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary, method), *known)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream, method), *known)
    if handler.stream_stream:
        return grpc.stream_stream_rpc_method_handler(_stream(handler.stream_stream, method), *known)
    raise NotImplementedError("a stream of requests with one response")


def _unary(behavior: Any, method: _Method) -> Any:
    async def answer(request: Any, context: Context) -> Any:
        begun = method.begin(context)
        try:
            response = await behavior(request, context)
        except BaseException as error:
            method.end(begun, _status_of(context, error))
            del request, context  # the error holds this frame, and gRPC the error with the call
            raise
        method.end(begun, StatusCode.OK)
        return response

    return answer


def _stream(behavior: Any, method: _Method) -> Any:
    async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
        begun = method.begin(context)
        try:
            async with aclosing(behavior(request, context)) as messages:
                async for message in messages:
                    yield message
        except BaseException as error:
            method.end(begun, _status_of(context, error))
            del request, context  # as above
            raise
        method.end(begun, StatusCode.OK)

    return answer


def _status_of(context: Context, error: BaseException) -> StatusCode:
    """The status with which a call ends that raised an error."""
    if isinstance(error, aio.AbortError):
        code: Any = context.code()
        return _CODES[code] if isinstance(code, int) else code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        left: Any = context.time_remaining()  # None without a deadline, whatever the stubs say
        is_late = left is not None and left <= 0
        return StatusCode.DEADLINE_EXCEEDED if is_late else StatusCode.CANCELLED
    return StatusCode.UNKNOWN
