"""The baseline of pushes: a grpc.aio server that forwards each message to all of its streams.

`python -m benchmarks.broadcast` prints its address and serves until it is killed. Messages are
a client's bytes, forwarded unchanged: nothing is parsed, stored or looked up.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from benchmarks.serving import serve_until_ended

SERVICE = "relevo.benchmarks.Broadcast"


class Broadcast:
    """A service with a queue for each stream."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    async def listen(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Stream every message from now on, after an empty one that confirms the start."""
        del request, context
        queue = asyncio.Queue[bytes]()
        self._queues.add(queue)
        try:
            yield b""
            while True:
                yield await queue.get()
        finally:
            self._queues.remove(queue)

    async def publish(self, request: bytes, context: Any) -> bytes:
        """Send a message to all streams, and return their number."""
        del context
        for queue in self._queues:
            queue.put_nowait(request)
        return b"%d" % len(self._queues)


async def serve() -> None:
    """Serve on a free port."""
    broadcast = Broadcast()
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Listen": grpc.unary_stream_rpc_method_handler(broadcast.listen),
        "Publish": grpc.unary_unary_rpc_method_handler(broadcast.publish),
    }
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    await serve_until_ended(server)


if __name__ == "__main__":
    asyncio.run(serve())
