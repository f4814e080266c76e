"""Small gRPC services for tests, whose methods are functions of bytes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
from grpc import aio
from relevo_client import current_context, current_ref

SERVICE = "relevo.test.Service"

ServicerContext = aio.ServicerContext[bytes, bytes]
Method = Callable[[bytes, Any], Awaitable[bytes] | bytes]


@asynccontextmanager
async def service(
    methods: Mapping[str, Method],
    *,
    interceptors: Sequence[aio.ServerInterceptor] = (),
    name: str = SERVICE,
    port: int = 0,
) -> AsyncGenerator[str, None]:
    """Run a service with these methods, by name. Yields its address."""
    server = aio.server(interceptors=interceptors)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        method: grpc.unary_unary_rpc_method_handler(behaviour)
        for method, behaviour in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def silence(_: bytes, __: Any) -> bytes:
    """A method that never answers."""
    await asyncio.Event().wait()
    return b""


def method_of(
    channel: aio.Channel, method: str = "Do", *, name: str = SERVICE
) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """A method of such a service, to be called with bytes."""
    return channel.unary_unary(f"/{name}/{method}")


class Seen(NamedTuple):
    """A handler's observation: the current user and reference, and the call's metadata."""

    user: str | None
    ref: str | None
    metadata: list[tuple[str, str]]


async def see(_: bytes, context: ServicerContext) -> bytes:
    """A handler that answers with its observation."""
    current = current_context()
    metadata = [(name, str(value)) for name, value in context.invocation_metadata() or ()]
    ref = current_ref()
    return json.dumps([current and current.user_id, ref and str(ref), metadata]).encode()


def seen(answer: bytes) -> Seen:
    """Parse the observation in a handler's answer."""
    user, ref, metadata = json.loads(answer)
    return Seen(user, ref, [(name, value) for name, value in metadata])
