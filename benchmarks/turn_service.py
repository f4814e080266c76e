"""A worker that is a service of a chain: it has a context, and calls the next service.

The first one of the chain is told a conversation's key, and resolves it; the others
have the context of the call. What a service answers is the model of each service from
it on. The calls of its client to the store are counted where gRPC has them, so what the
client sends is what counts, not what it says; its Watch stream is not a call.
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

from benchmarks.workers import answer

METHOD = "/relevo.bench.Turns/Take"
Take = Callable[[bytes, Any], Awaitable[bytes]]


class Calls(aio.UnaryUnaryClientInterceptor):
    """Counts a channel's calls, by method. Streams are none."""

    def __init__(self) -> None:
        self.by_method = Counter[str]()

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Count it, and let it go on."""
        method: Any = client_call_details.method
        self.by_method[method.decode().rpartition("/")[2]] += 1
        return await continuation(client_call_details, request)


class Service:
    """What the worker can do."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._calls = Calls()

    async def serve(self, store: str, callee: str) -> str:
        """Serve, before `callee` where that is not empty: the address."""
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
        """The calls to the store since this was asked last, by method."""
        counted = dict(self._calls.by_method)
        self._calls.by_method.clear()
        return counted

    async def close(self) -> None:
        """Serve no more."""
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
    async def go_on() -> bytes:
        model: str = require_context().llm_config["model"]
        rest = await call(b"") if call else b""
        return b" ".join(filter(None, [model.encode(), rest]))

    async def take(request: bytes, _: Any) -> bytes:
        if not request:
            return await go_on()
        with use_context(await contexts.resolve(ContextKey.parse(request.decode()))):
            return await go_on()

    return take


async def main() -> None:
    """Be a worker."""
    able = Service()
    await answer({"serve": able.serve, "calls": able.calls, "close": able.close})


if __name__ == "__main__":
    asyncio.run(main())
