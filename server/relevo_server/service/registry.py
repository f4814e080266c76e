"""Registers the handlers of services with a gRPC server, all of them as generic handlers.

`grpc.aio` waits for a call of each registered method apart, and begins that wait anew after every
call. So each registered method of a server costs every call of every other method: with grpcio
1.85 and the methods of all services here, 8 % of a Get from memory.
"""

from grpc import aio, method_handlers_generic_handler

from relevo_server.telemetry.calls import Handlers


class GenericRegistry:
    """Registers our services, and those of generated code, before the server is started."""

    def __init__(self, server: aio.Server) -> None:
        self.server = server

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Ignore the handlers: generated code gives the same to the other method as well."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Register the handlers of a service by the names of their methods."""
        handler = method_handlers_generic_handler(service_name, dict(method_handlers))
        self.server.add_generic_rpc_handlers((handler,))
