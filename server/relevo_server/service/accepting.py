"""gRPC's server, which accepts calls so that no path of a call can end it.

grpcio's asyncio server decodes the path of each call in the loop that accepts all of them. A path
that is not UTF-8 ends the loop, and with it the server; anyone can send one (seen with 1.85.1).
Core knows the registered methods by their bytes, so here each method has loops of its own, and one
loop ends calls of all others, whatever their path is.

This also makes calls cheaper: grpcio waits for all methods together, anew after each call. And
frequent methods have several loops, so that calls that come together are handed over together. All
others have one: while a turn of the event loop has the work for many calls, everybody waits for it.
The loops are callbacks of futures, not tasks, so that none ends before core has answered.

It rests on grpcio's own parts. With a release that may have other ones, grpcio's loop is used as
it is, and the log has a warning.
"""

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Protocol

import grpc
from grpc import aio
from grpc._cython import cygrpc
from grpc.aio import _server

from relevo_server.logs import log
from relevo_server.telemetry.calls import Handler

AT_ONCE = 16
"""Calls of a frequent method that gRPC can hand over at once. Each takes some KB for good."""

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
    """grpcio's server with loops for each method."""

    def __init__(self, frequent: AbstractSet[str], *args: Any) -> None:
        self._frequent = {each.encode() for each in frequent}
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
        for _ in range(AT_ONCE if method_bytes in self._frequent else 1):
            self._ask(method_bytes, stopped)
        return stopped

    def _ask(self, path: bytes | None, stopped: "asyncio.Future[None]") -> None:
        """Ask core for the next call of a method, or for one of all unknown ones.

        Core writes the call into memory that grpcio's coroutine holds. So no task runs it: an
        event loop that ends cancels its tasks, and would free this memory before core writes.
        """
        asked: Any = self._request_registered_call(path) if path else self._request_call()
        try:
            answer = asked.send(None)
            answer._asyncio_future_blocking = False  # as a task does: it waits for the future
            answer.add_done_callback(partial(self._accept, path, stopped, asked))
        except Exception as error:  # noqa: BLE001 - grpcio's loop knows it, or ends with it
            _end(stopped, error)

    def _accept(
        self,
        path: bytes | None,
        stopped: "asyncio.Future[None]",
        asked: Any,
        _: "asyncio.Future[None]",
    ) -> None:
        """Run the call that core has handed over, and ask for the next one."""
        try:
            state = _answer_of(asked)
        except Exception as error:  # noqa: BLE001 - grpcio's loop knows it, or ends with it
            _end(stopped, error)
            return
        loop = asyncio.get_running_loop()
        name = path.decode() if path else _UNKNOWN
        answer = _cygrpc._handle_rpc(name, self, (), state, loop, False)
        call = loop.create_task(_cygrpc._schedule_rpc_coro(answer, state, loop, name))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        self._ask(path, stopped)


def _answer_of(asked: Any) -> Any:
    """The call that core has handed over. Raises what grpcio raises once the server stops."""
    try:
        asked.send(None)
    except StopIteration as handed_over:
        return handed_over.value
    raise RuntimeError("grpcio waits for more than core's answer")


def _end(stopped: "asyncio.Future[None]", error: Exception) -> None:
    """Tell grpcio's loop why no more calls are accepted."""
    if not stopped.done():
        stopped.set_exception(error)


def accepting_server(options: Sequence[tuple[str, int]], frequent: AbstractSet[str]) -> aio.Server:
    """A gRPC server that has not been started. Its handlers have to be `MethodHandlers`.

    `frequent` has the paths of the methods whose calls are handed over together.
    """
    if not _has_parts():
        log.warning("server.unguarded", grpcio=grpc.__version__)
        return aio.server(options=options)
    server: Any = _Aio.__new__(_Aio)  # its own constructor would make grpcio's
    server._loop = _cygrpc.get_working_loop()
    server._server = _Server(frequent, server._loop, None, (), (), tuple(options), None)
    made: aio.Server = server
    return made


async def discard(server: aio.Server) -> None:
    """Free a gRPC server that has not been started.

    grpcio frees the parts of a server only as it stops, and stops only what runs. As it deletes a
    server that has not been stopped, it logs the server itself at DEBUG level: who keeps that log
    record crashes the process later (seen with 1.85.1).
    """
    await server.start()
    await server.stop(None)


def _has_parts() -> bool:
    """Whether grpcio has the parts that this module rests on."""
    try:
        found = {name: [*inspect.signature(getattr(_cygrpc, name)).parameters] for name in _PARTS}
    except (AttributeError, ValueError):
        return False
    return found == _PARTS and grpc.__version__.startswith(_PROVEN)
