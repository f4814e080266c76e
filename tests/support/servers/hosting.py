"""One interface for tests to servers of both kinds, blocking and asyncio."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    aio_server_interceptor,
    server_interceptor,
)
from relevo_client.testing import RecordedCalls

from support.servers.shapes import Behaviour, Kind

Methods = Mapping[str, tuple[str, Behaviour]]
"""Methods by name, each with its arity and behaviour."""

SERVICE = "relevo.test.Shapes"

_HANDLER: Mapping[str, Callable[[Behaviour], "grpc.RpcMethodHandler[Any, Any]"]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


@dataclass(frozen=True)
class Host:
    """A running server."""

    address: str
    pool: ThreadPoolExecutor
    """The threads for handlers that do not run on an event loop."""
    _server: Any

    async def stop(self) -> None:
        """Stop at once, without waiting for calls. May be called again."""
        if isinstance(self._server, aio.Server):
            await self._server.stop(None)
        else:
            await asyncio.to_thread(self._server.stop(None).wait)


@dataclass(frozen=True)
class StoreClients:
    """Clients of one store, for servers of both kinds."""

    blocking: ContextClient
    asyncio: AsyncContextClient

    def interceptor(self, kind: Kind, **rules: Any) -> Any:
        """Relevo's interceptor for a server of this kind."""
        if kind == "blocking":
            return server_interceptor(self.blocking, **rules)
        return aio_server_interceptor(self.asyncio, **rules)


def recording(kind: Kind, calls: RecordedCalls) -> Any:
    """The interceptor that records calls, for a server of this kind."""
    return calls.server_interceptor() if kind == "blocking" else calls.aio_server_interceptor()


@asynccontextmanager
async def hosted(
    kind: Kind,
    methods: Methods,
    *,
    interceptors: Sequence[Any] = (),
    threads: int = 1,
    name: str = SERVICE,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncGenerator[Host, None]:
    """A running server with these methods, and one thread so that leftovers are noticed."""
    pool = ThreadPoolExecutor(threads)
    server: Any = (
        grpc.server(pool, interceptors=list(interceptors))
        if kind == "blocking"
        else aio.server(pool, interceptors=interceptors)
    )
    handlers = {
        method: _HANDLER[arity](behaviour) for method, (arity, behaviour) in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    listen = f"127.0.0.1:{port}"
    if credentials:
        port = server.add_secure_port(listen, credentials)
    else:
        port = server.add_insecure_port(listen)
    starting = server.start()
    if kind == "asyncio":
        await starting
    host = Host(f"127.0.0.1:{port}", pool, server)
    try:
        yield host
    finally:
        await host.stop()
        await asyncio.to_thread(pool.shutdown)
