"""The baseline of calls: a grpc.aio server that only speaks gRPC.

`python -m benchmarks.echo` prints its address and serves until it is killed, on
asyncio's own loop or, as `relevo serve` does, on `uvloop`. It answers the store's
requests with constant messages of the same size as the store's, so parsing and
serializing cost the same as there.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import uvloop
from google.protobuf.message import Message
from grpc import aio
from relevo.v1 import store_pb2

from benchmarks import samples
from benchmarks.serving import serve_until_ended


async def serve() -> None:
    """Serve on a free port."""
    server = aio.server()
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Get": grpc.unary_unary_rpc_method_handler(
            _always(samples.get_response()),
            store_pb2.GetRequest.FromString,
            store_pb2.GetResponse.SerializeToString,
        ),
        "Put": grpc.unary_unary_rpc_method_handler(
            _always(samples.put_response()),
            store_pb2.PutRequest.FromString,
            store_pb2.PutResponse.SerializeToString,
        ),
    }
    service = grpc.method_handlers_generic_handler("relevo.v1.ContextStore", methods)
    server.add_generic_rpc_handlers((service,))
    await serve_until_ended(server)


def _always(response: Message) -> Callable[[Message, Any], Awaitable[Message]]:
    async def answer(request: Message, context: Any) -> Message:
        del request, context
        return response

    return answer


if __name__ == "__main__":
    run = {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[1]]
    run(serve())
