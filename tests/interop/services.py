"""Services in Python that other languages call, with JSON bytes as request and response."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ExecutionContext,
    aio_server_interceptor,
    current_context,
    current_ref,
    server_interceptor,
)
from support.servers.services import SERVICE, service

Stop = Callable[[], Awaitable[None]]


def _seen() -> bytes:
    """The current reference and context."""
    context, ref = current_context(), current_ref()
    seen = {
        "key": ref and ref.key.text,
        "revision": ref and str(ref.revision),
        "context": context and context.to_cache_dict(),
    }
    return json.dumps(seen).encode()


@asynccontextmanager
async def asyncio_service(store: str, stop: Stop) -> AsyncGenerator[str, None]:
    """A running service on asyncio, and its address.

    See returns its view of the call, Put puts a context, Stop ends another server by `stop`.
    """
    async with AsyncContextClient(store, timeout=10) as client:

        async def see(_: bytes, __: Any) -> bytes:
            return _seen()

        async def put(asked: bytes, _: Any) -> bytes:
            request = json.loads(asked)
            context = ExecutionContext.from_cache_dict(request["context"])
            entry = await client.put(ContextKey(**request["key"]), context)
            return json.dumps({"revision": str(entry.revision)}).encode()

        async def end(_: bytes, __: Any) -> bytes:
            await stop()
            return b"{}"

        interceptor = aio_server_interceptor(client, trust_callers=True)
        methods = {"See": see, "Put": put, "Stop": end}
        async with service(methods, interceptors=[interceptor]) as address:
            yield address


@contextmanager
def blocking_service(store: str) -> Generator[str, None, None]:
    """A running service on threads, and its address. See returns its view of the call."""

    def see(_: bytes, __: Any) -> bytes:
        return _seen()

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "See": grpc.unary_unary_rpc_method_handler(see)
    }
    with ContextClient(store, timeout=10) as client, ThreadPoolExecutor(4) as pool:
        interceptor = server_interceptor(client, trust_callers=True)
        server = grpc.server(pool, interceptors=[interceptor])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
