"""A client that sends arbitrary bytes, as any peer on the network can."""

import asyncio
from base64 import b64encode
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import quote

import grpc
from grpc import StatusCode, aio
from relevo.admin.v1 import admin_pb2
from relevo.v1 import store_pb2
from relevo.v1.store_pb2 import Error

from support.clients.calls import TIMEOUT
from support.failures import Failure, failure_in

_SERVICES = (
    store_pb2.DESCRIPTOR.services_by_name["ContextStore"],
    admin_pb2.DESCRIPTOR.services_by_name["Admin"],
)
_METHODS = {method.name: method for service in _SERVICES for method in service.methods}
Metadata = tuple[tuple[str, str], ...]
_Unary: TypeAlias = "aio.UnaryUnaryMultiCallable[bytes, bytes]"
_Changes: TypeAlias = "aio.UnaryStreamMultiCallable[bytes, bytes]"
_Stream: TypeAlias = "grpc.StreamStreamMultiCallable[bytes, bytes]"
METHODS = tuple(_METHODS)
"""The names of all methods of both services."""

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class RawClient:
    """Sends bytes to methods, and parses the failures."""

    def __init__(self, channel: aio.Channel, blocking: grpc.Channel) -> None:
        self._channel = channel
        # An asyncio stream raises an error of its own if it is written to after the server's end.
        self._blocking = blocking

    async def send(self, method: str, *messages: bytes, metadata: Metadata = ()) -> Failure | None:
        """The failure of a call, or None. Fails the test if the status has no details.

        A Watch gets an empty message at the end, which the server refuses, so it always fails.
        """
        called = _METHODS[method]
        path = f"/{called.containing_service.full_name}/{method}"
        try:
            if method == "Changes":
                await self._follow(path, messages[0], metadata)
            elif not called.server_streaming:
                unary: _Unary = self._channel.unary_unary(path)
                await unary(messages[0], timeout=TIMEOUT, metadata=metadata)
            else:
                await asyncio.to_thread(self._watch, path, messages)
        except grpc.RpcError as error:
            return failure_from(error)
        return None

    async def _follow(self, path: str, message: bytes, metadata: Metadata) -> None:
        """Read a stream of changes until it ends, or a little of it if it follows the log."""
        follow: _Changes = self._channel.unary_stream(path)
        try:
            async for _ in follow(message, timeout=1, metadata=metadata):
                pass
        except grpc.RpcError as error:
            call: Any = error
            if call.code() is not StatusCode.DEADLINE_EXCEEDED:
                raise

    def _watch(self, path: str, messages: tuple[bytes, ...]) -> None:
        watch: _Stream = self._blocking.stream_stream(path)
        deque(watch(iter((*messages, b"")), timeout=TIMEOUT), maxlen=0)


def failure_from(error: Any) -> Failure:
    """The failure of a call, whose trailers must fit in what every library accepts."""
    details = [v for name, v in error.trailing_metadata() if name == "grpc-status-details-bin"]
    assert len(details) == 1, f"no details in {error.code()}: {error.details()}"
    assert isinstance(details[0], bytes)
    assert trailer_size(error.details() or "", details[0]) < 6144
    failure = failure_in(Error.FromString(details[0]))
    assert (failure.code, failure.message) == (error.code(), error.details())
    assert failure.domain == "relevo"
    assert failure.code is not StatusCode.UNKNOWN
    return failure


def trailer_size(message: str, details: bytes) -> int:
    """The size in bytes of a status in the call's trailers."""
    encoded = len(quote(message, safe=_PRINTABLE)) + len(b64encode(details))
    return encoded + len("grpc-status" + "16" + "grpc-message" + "grpc-status-details-bin")


@asynccontextmanager
async def raw_client(address: str) -> AsyncGenerator[RawClient, None]:
    """A client of a server, on a channel of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as blocking:
        async with aio.insecure_channel(address, options) as channel:
            yield RawClient(channel, blocking)
