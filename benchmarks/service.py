"""A grpc.aio service with one unary method: bare, or with an interceptor.

`python -m benchmarks.service SIDE` prints its address and serves until it is killed. SIDE is
`bare`, `idle`, `relevo`, `instrumented`, `rider` or `otel`, or several joined by `+`. With `sdk`
among them, OpenTelemetry's SDK collects what they tell, and with `signed` only signed references
are accepted. The cache of `rider` has nothing: its store is away.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
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
    instrument,
)
from relevo_client._context.signatures import keys_of
from support.entries import entry_of

from benchmarks.sdk import use_sdk
from benchmarks.serving import serve_until_ended

_otel: Any = otel_grpc  # whose types are only half known

METHOD = "/relevo.bench.Service/Answer"
SIGNING_KEYS = "first " + "YWJj" * 12 + "\n"
"""A file of the keys that sign references: a name, and a secret in base64."""


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


def _found(_: ContextKey) -> ContextEntry:
    return _ENTRY


async def answer(request: bytes, context: Any) -> bytes:
    """Return the request."""
    del context
    return request


def _interceptors(parts: Sequence[str]) -> Iterator[Any]:
    if "otel" in parts:
        provider = None if "sdk" in parts else TracerProvider()
        yield _otel.aio_server_interceptor(tracer_provider=provider)
    if "idle" in parts:
        yield Idle()
    if "rider" in parts:
        yield aio_server_interceptor(AsyncContextClient("127.0.0.1:1"), trust_callers=True)
    if "relevo" in parts:
        client = CachingClient("nowhere:1", reference_keys=lambda: keys_of(SIGNING_KEYS))
        trusted: Any = "signed" if "signed" in parts else True
        yield aio_server_interceptor(client, trust_callers=trusted)


async def serve(side: str) -> None:
    """Serve on a free port."""
    parts = side.split("+")
    if "sdk" in parts:
        use_sdk()
    if "instrumented" in parts:
        mine = instrument(kinds={"grpc.server"}, target="nowhere:1", trust_callers=True)
        vars(mine.aio_client())["peek"] = _found
    server = aio.server(interceptors=list(_interceptors(parts)))
    service, _, method = METHOD[1:].rpartition("/")
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    await serve_until_ended(server)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
