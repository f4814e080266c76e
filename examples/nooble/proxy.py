"""A gRPC proxy that passes on only the metadata that it knows: `python -m nooble.proxy --target=T`.

Such proxies stand between services that differ in owner or age. This one knows the entries of
plain references, of identities and of traces, in both directions. Messages pass as bytes.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
from grpc import aio

from nooble.channels import ROUND_ROBIN
from nooble.services.running import announce, until_stopped

KNOWN = frozenset(
    (
        *("context-key", "context-revision", "context-signature"),
        *("x-tenant-id", "x-tenant-tier", "x-agent-id", "x-session-id", "x-conversation-id"),
        *("x-user-id", "x-correlation-id", "traceparent", "tracestate"),
        *("authorization", "user-agent", "grpc-status-details-bin"),
    )
)
"""The names of the entries that pass."""


class _AllMethods(grpc.GenericRpcHandler):
    """The handler of every method: it calls the same method on a channel."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method: as a stream of messages each way, which fits all methods."""
        # Typed in grpcio for generated stubs only.
        channel: Any = self._channel
        method = channel.stream_stream(handler_call_details.method)

        async def passed_on(
            requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[bytes]:
            call = method(
                requests,
                timeout=context.time_remaining(),
                metadata=_known(context.invocation_metadata() or ()),
            )
            try:
                await context.send_initial_metadata(_known(await call.initial_metadata()))
                async for message in call:
                    yield message
                context.set_trailing_metadata(_known(await call.trailing_metadata()))
            except aio.AioRpcError as error:
                trailing = _known(error.trailing_metadata())
                await context.abort(error.code(), error.details() or "", trailing)
            finally:
                call.cancel()  # of no effect on a call that has ended

        return cast("Any", grpc.stream_stream_rpc_method_handler(passed_on))


def _known(metadata: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value) for name, value in metadata if name in KNOWN)


@asynccontextmanager
async def proxy(target: str) -> AsyncGenerator[str]:
    """Serve a proxy before a target, whose replicas get calls in turn. Yields its address."""
    async with aio.insecure_channel(target, options=ROUND_ROBIN) as channel:
        server = aio.server()
        server.add_generic_rpc_handlers((_AllMethods(channel),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(1.0)


async def main(target: str) -> None:
    """Serve until SIGTERM."""
    async with proxy(target) as address:
        announce(address)
        await until_stopped()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    asyncio.run(main(parser.parse_args().target))
