"""A grpc.aio service with one unary method: bare, or with an interceptor.

`python -m benchmarks.service bare|idle|relevo|otel` prints its address and serves until it
is killed.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import grpc
from grpc import aio
from opentelemetry.instrumentation import grpc as otel_grpc
from opentelemetry.sdk.trace import TracerProvider
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    aio_server_interceptor,
)
from support.entries import entry_of

from benchmarks.serving import serve_until_ended

_otel: Any = otel_grpc  # whose types are only half known

METHOD = "/relevo.bench.Service/Answer"


class CachingClient(AsyncContextClient):
    """A client with every context in its cache."""

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """Return the cached entry."""
        del target
        return _ENTRY


class Idle(aio.ServerInterceptor):
    """An interceptor that does nothing."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Continue unchanged."""
        return await continuation(handler_call_details)


_ENTRY = entry_of("someone", revision=1_750_000_000_000 << 20)


async def answer(request: bytes, context: Any) -> bytes:
    """Return the request."""
    del context
    return request


def _interceptors(side: str) -> Sequence[Any]:
    if side == "idle":
        return [Idle()]
    if side == "relevo":
        return [aio_server_interceptor(CachingClient("nowhere:1"), trust_callers=True)]
    if side == "otel":
        return [_otel.aio_server_interceptor(tracer_provider=TracerProvider())]
    return []


async def serve(side: str) -> None:
    """Serve on a free port."""
    server = aio.server(interceptors=_interceptors(side))
    service, _, method = METHOD[1:].rpartition("/")
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    await serve_until_ended(server)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
