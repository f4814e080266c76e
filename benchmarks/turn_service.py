"""A worker that is one service of a chain: it gets a context, and calls the next service.

The first service of the chain gets a conversation's key, and resolves it; the others get
the context of the call. A service answers with its own model and those of the services
after it. Its client's calls to the store are counted in the gRPC channel, so the figure
does not depend on the client's own counts. The Watch stream is not counted.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextKey,
    aio_context_channel,
    aio_server_interceptor,
    require_context,
    use_context,
)

from benchmarks.workers import serve_commands

METHOD = "/relevo.bench.Turns/Take"
Take = Callable[[bytes, Any], Awaitable[bytes]]


class Calls(aio.UnaryUnaryClientInterceptor):
    """Counts a channel's unary calls by method."""

    def __init__(self) -> None:
        self.by_method = Counter[str]()

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Count the call, and continue it."""
        method: Any = client_call_details.method
        self.by_method[method.decode().rpartition("/")[2]] += 1
        return await continuation(client_call_details, request)


class Service:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._calls = Calls()

    async def serve(self, store: str, callee: str) -> str:
        """Serve, and return the address. `callee` is the next service's, "" for none."""
        channel = aio.insecure_channel(store, interceptors=[self._calls])
        await self._stack.enter_async_context(channel)
        contexts = AsyncContextClient(channel=channel, cache=CacheOptions())
        await self._stack.enter_async_context(contexts)
        call = await self._stack.enter_async_context(_calling(callee)) if callee else None
        server = aio.server(interceptors=[aio_server_interceptor(contexts, trust_callers=True)])
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Take": grpc.unary_unary_rpc_method_handler(_taking(contexts, call))
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("relevo.bench.Turns", handlers),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._stack.push_async_callback(server.stop, None)
        return f"127.0.0.1:{port}"

    async def calls(self) -> dict[str, int]:
        """The calls to the store by method since the last time."""
        counted = dict(self._calls.by_method)
        self._calls.by_method.clear()
        return counted

    async def close(self) -> None:
        """Stop serving."""
        await self._stack.aclose()


@asynccontextmanager
async def _calling(callee: str) -> AsyncGenerator[Callable[[bytes], Awaitable[bytes]], None]:
    async with aio_context_channel(aio.insecure_channel(callee)) as channel:
        opened: Any = channel  # whose types are only half known
        take = opened.unary_unary(METHOD)

        async def call(request: bytes) -> bytes:
            answered: bytes = await take(request, timeout=10)
            return answered

        yield call


def _taking(contexts: AsyncContextClient, call: Callable[[bytes], Awaitable[bytes]] | None) -> Take:
    async def answer_models() -> bytes:
        model: str = require_context().llm_config["model"]
        rest = await call(b"") if call else b""
        return b" ".join(filter(None, [model.encode(), rest]))

    async def take(request: bytes, _: Any) -> bytes:
        if not request:
            return await answer_models()
        with use_context(await contexts.resolve(ContextKey.parse(request.decode()))):
            return await answer_models()

    return take


async def main() -> None:
    """Run as a worker."""
    commands = Service()
    await serve_commands(
        {"serve": commands.serve, "calls": commands.calls, "close": commands.close}
    )


if __name__ == "__main__":
    asyncio.run(main())
