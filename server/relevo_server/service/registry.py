"""Registers the handlers of services with a gRPC server, all of them as generic handlers.

So the server's `accepting` loops decide which calls they wait for. grpcio's own loop waits for a
call of each registered method apart, and begins that wait anew after every call: with grpcio 1.85
and the methods of all services here, 8 % of a Get from memory.
"""

from collections.abc import Iterable, Mapping

import grpc
from grpc import aio

from relevo_server.telemetry.calls import Handler, Handlers


class GenericRegistry:
    """Registers our services, and those of generated code, before the server is started."""

    def __init__(self, server: aio.Server) -> None:
        self.server = server

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Ignore the handlers: generated code gives the same to the other method as well."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Register the handlers of a service by the names of their methods."""
        by_path = {f"/{service_name}/{name}": each for name, each in method_handlers.items()}
        self.server.add_generic_rpc_handlers((_ByPath(by_path),))


class _ByPath(grpc.GenericRpcHandler):
    """Handlers by their methods' paths, as `/package.Service/Method`."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    @property
    def paths(self) -> Iterable[str]:
        """The methods' paths."""
        return self._handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of a call; None for a method of another service."""
        return self._handlers.get(handler_call_details.method)
