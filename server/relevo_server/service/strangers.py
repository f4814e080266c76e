"""Health checks and reflection, which everyone may call without a token, and their limits.

A stranger may hold a call open in two ways: by not sending its request, and by opening a stream.
So a request has to come in time, the earlier the more calls wait for theirs, and a connection has
few streams.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from google.protobuf.message import DecodeError
from grpc import StatusCode, aio, stream_stream_rpc_method_handler

from relevo_server.service.registry import GenericRegistry
from relevo_server.telemetry.calls import Context, Handler, Handlers

PATIENCE = 20.0
"""The most seconds until a request comes."""
MAX_STREAMS = 100
"""The most streams of one connection."""
_SOON = 0.1
"""Seconds in which the request of an honest call comes, unless the machine is busy."""
_WAITING = 16
"""The most calls whose requests may take longer than that. With more, the oldest ends."""
_MAX_REQUEST = 16 << 10
"""Bytes. The names of services and symbols are shorter."""


class _RefusedError(Exception):
    """Raised for a call that is ended with a status."""

    def __init__(self, code: StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class _Arrivals:
    """The calls whose requests have not come yet, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Timeout, float] = {}

    async def next(self, context: Context) -> bytes | None:
        """The next request of a call, None at its end."""
        begun = monotonic()
        try:
            async with asyncio.timeout(PATIENCE) as scope:
                self._waiting[scope] = begun
                try:
                    self._end_oldest(begun)
                    read: Any = await context.read()
                finally:
                    self._waiting.pop(scope, None)
        except TimeoutError:
            text = "the request did not come in time"
            raise _RefusedError(StatusCode.DEADLINE_EXCEEDED, text) from None
        if read is aio.EOF:
            return None
        if len(read) > _MAX_REQUEST:
            raise _RefusedError(StatusCode.INVALID_ARGUMENT, "the request is too long")
        message: bytes = read
        return message

    def _end_oldest(self, now: float) -> None:
        for scope, begun in list(self._waiting.items())[:-_WAITING]:
            if now - begun <= _SOON:
                break
            del self._waiting[scope]
            scope.reschedule(asyncio.get_running_loop().time())


class OpenRegistry(GenericRegistry):
    """Registers the services that are open to everyone with a server that has not been started."""

    def __init__(self, server: aio.Server) -> None:
        super().__init__(server)
        self._arrivals = _Arrivals()
        self._streams: Counter[str] = Counter()

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Register the handlers of a service, each with these limits."""
        limited = {name: self._limited(each) for name, each in method_handlers.items()}
        super().add_registered_method_handlers(service_name, limited)

    def _limited(self, handler: Handler) -> Handler:
        """The same method, which reads its requests itself: gRPC would wait for them for ever."""
        answer: Any = self._unary(handler) if handler.unary_unary else self._stream(handler)
        return stream_stream_rpc_method_handler(
            _refusing(answer), response_serializer=handler.response_serializer
        )

    def _unary(self, handler: Any) -> Any:
        async def answer(context: Context) -> None:
            request = await self._next(handler, context)
            await context.write(await handler.unary_unary(request, context))

        return answer

    def _stream(self, handler: Any) -> Any:
        async def answer(context: Context) -> None:
            peer = context.peer()
            if self._streams[peer] >= MAX_STREAMS:
                text = f"the connection has {MAX_STREAMS} streams of this kind already"
                raise _RefusedError(StatusCode.RESOURCE_EXHAUSTED, text)
            self._streams[peer] += 1
            try:
                if handler.unary_stream:
                    await handler.unary_stream(await self._next(handler, context), context)
                else:
                    async for response in handler.stream_stream(
                        self._requests(handler, context), context
                    ):
                        await context.write(response)
            finally:
                self._streams[peer] -= 1
                if not self._streams[peer]:
                    del self._streams[peer]

        return answer

    async def _requests(self, handler: Any, context: Context) -> AsyncIterator[Any]:
        while (serialized := await self._arrivals.next(context)) is not None:
            yield _decoded(handler, serialized)

    async def _next(self, handler: Any, context: Context) -> Any:
        serialized = await self._arrivals.next(context)
        if serialized is None:
            raise _RefusedError(StatusCode.INVALID_ARGUMENT, "there is no request")
        return _decoded(handler, serialized)


def _decoded(handler: Any, serialized: bytes) -> Any:
    try:
        return handler.request_deserializer(serialized)
    except DecodeError:
        raise _RefusedError(StatusCode.INVALID_ARGUMENT, "the request cannot be read") from None


def _refusing(answer: Any) -> Any:
    """`answer` as gRPC calls it, with a status for what is refused."""

    async def method(_: Any, context: Context) -> None:
        try:
            await answer(context)
        except _RefusedError as error:
            await context.abort(error.code, error.text)

    return method
