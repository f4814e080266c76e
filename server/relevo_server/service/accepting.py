"""gRPC's server, which accepts calls so that no path of a call can end it.

grpcio's asyncio server decodes the path of each call in the loop that accepts all of them. A path
that is not UTF-8 ends the loop, and with it the server; anyone can send one (seen with 1.85.1).
Core knows the registered methods by their bytes, so here each method has a loop of its own, and one
loop ends calls of all others, whatever their path is.

This also makes calls cheaper: grpcio waits for all methods together, anew after each call.

It rests on grpcio's own parts. With a release that may have other ones, grpcio's loop is used as
it is, and the log has a warning.
"""

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import grpc
from grpc import aio
from grpc._cython import cygrpc
from grpc.aio import _server

from relevo_server.logs import log
from relevo_server.telemetry.calls import Handler

_PARTS = {
    "_handle_rpc": [
        *("method_name", "method_resolver", "interceptors"),
        *("rpc_state", "loop", "concurrency_exceeded"),
    ],
    "_schedule_rpc_coro": ["rpc_coro", "rpc_state", "loop", "method_name"],
}
_PROVEN = ("1.85.",)
"""The releases of grpcio with which the tests of this module have run."""
_UNKNOWN = ""
"""Stands for the path of a method that is not registered."""

_cygrpc: Any = cygrpc
_Aio: Any = _server.Server


class MethodHandlers(Protocol):
    """The handlers of some methods, as grpc.GenericRpcHandler, with the methods' paths."""

    @property
    def paths(self) -> Iterable[str]:
        """The paths, as `/package.Service/Method`."""
        ...

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of a call, None if it is of another method."""
        ...


class _Server(_cygrpc.AioServer):  # type: ignore[misc]
    """grpcio's server with a loop for each method."""

    def __init__(self, *args: Any) -> None:
        self._handlers: list[MethodHandlers] = []
        self._calls: set[asyncio.Task[None]] = set()
        super().__init__(*args)  # pyright: ignore[reportUnknownMemberType]

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[MethodHandlers]) -> None:
        """Register handlers. Their methods become known to gRPC's core."""
        for each in generic_rpc_handlers or ():
            self._handlers.append(each)
            self.add_registered_method_handlers(dict.fromkeys(each.paths))

    def resolve_handler(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of a call, None if there is none. grpcio calls this for each call."""
        for each in self._handlers:
            handler = each.service(handler_call_details)
            if handler is not None:
                return handler
        return None

    def _make_request_call_future(self, method_bytes: bytes | None) -> asyncio.Future[None]:
        """The end of the server, for which grpcio's loop waits. Called once for each method."""
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        accepting = asyncio.get_running_loop().create_task(self._accept(method_bytes, stopped))
        self._calls.add(accepting)
        accepting.add_done_callback(self._calls.discard)
        return stopped

    async def _accept(self, path: bytes | None, stopped: "asyncio.Future[None]") -> None:
        """Accept the calls of a method, or those of all unknown ones, until the server stops."""
        loop = asyncio.get_running_loop()
        name = _UNKNOWN if path is None else path.decode()
        try:
            while True:
                if path is None:
                    state = await self._request_call()
                else:
                    state = await self._request_registered_call(path)
                answer = _cygrpc._handle_rpc(name, self, (), state, loop, False)
                call = loop.create_task(_cygrpc._schedule_rpc_coro(answer, state, loop, name))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
        except Exception as error:  # noqa: BLE001 - grpcio's loop knows it, or ends with it
            if not stopped.done():
                stopped.set_exception(error)


def accepting_server(options: Sequence[tuple[str, int]]) -> aio.Server:
    """A gRPC server that has not been started. Its handlers have to be `MethodHandlers`."""
    if not _has_parts():
        log.warning("server.unguarded", grpcio=grpc.__version__)
        return aio.server(options=options)
    server: Any = _Aio.__new__(_Aio)  # its own constructor would make grpcio's
    server._loop = _cygrpc.get_working_loop()
    server._server = _Server(server._loop, None, (), (), tuple(options), None)
    made: aio.Server = server
    return made


def _has_parts() -> bool:
    """Whether grpcio has the parts that this module rests on."""
    try:
        found = {name: [*inspect.signature(getattr(_cygrpc, name)).parameters] for name in _PARTS}
    except (AttributeError, ValueError):
        return False
    return found == _PARTS and grpc.__version__.startswith(_PROVEN)
