"""A store of a future contract: clients skip its unknown fields and events."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio
from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import GetResponse, Position, Reset, WatchResponse

_SERVICE = "relevo.v1.ContextStore"
_TEXT_FIELD = b"\xa2\x06\x03new"  # field 100, length-delimited
_NUMBER_FIELD = b"\xa8\x06\x2a"  # field 101, varint
_EVENT_FIELD = b"\x7a\x02\x08\x01"  # field 15, length-delimited
REVISION = (1 << 60) + 1


def _nested(field: int, message: bytes) -> bytes:
    assert len(message) < 128
    return bytes([field << 3 | 2, len(message)]) + message


def _answer() -> bytes:
    """A GetResponse with unknown fields before, within and after its entry."""
    entry = ContextEntry(version=REVISION)
    entry.context.user_id = "u"
    rest = GetResponse(revision=REVISION).SerializeToString()
    body = _nested(1, _TEXT_FIELD + entry.SerializeToString() + _NUMBER_FIELD)
    return _NUMBER_FIELD + body + rest + _TEXT_FIELD


def _events() -> list[bytes]:
    """Resets with the reasons 1, 2, 3 and 99, then an event of an unknown type."""
    resets: list[Any] = [1, 2, 3, 99]
    event = WatchResponse(positions=[Position(partition=3, revision=REVISION)])
    return [
        *(
            WatchResponse(reset=Reset(partition=5, reason=reason)).SerializeToString()
            for reason in resets
        ),
        _EVENT_FIELD + event.SerializeToString(),
    ]


async def _get(_: bytes, __: Any) -> bytes:
    return _answer()


async def _watch(_: AsyncIterator[bytes], __: Any) -> AsyncGenerator[bytes, None]:
    for event in _events():
        yield event


@asynccontextmanager
async def newer_server() -> AsyncGenerator[str, None]:
    """A running store of a newer contract, and its address."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Get": grpc.unary_unary_rpc_method_handler(_get),
        "Watch": grpc.stream_stream_rpc_method_handler(_watch),
    }
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
