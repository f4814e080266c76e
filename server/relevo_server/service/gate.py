"""The gate: a call whose caller is unknown ends before its request is received.

gRPC's asyncio server receives the whole request of a unary call before it calls the method. But
it looks for the method's handler as soon as the call's headers are there. So the gate looks at the
caller then, and gives an unknown one a handler that reads nothing. Here nothing is decided but who
is worth reading: the method asks for the caller when the request is there, and gets what the gate
has found if that still holds.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import grpc
from grpc import aio, stream_stream_rpc_method_handler

from relevo_server import errors
from relevo_server.access.access import Access
from relevo_server.audit import Trail
from relevo_server.errors import StoreError
from relevo_server.service.admission import Context, fail
from relevo_server.service.registry import GenericRegistry
from relevo_server.telemetry.calls import Handler, Handlers, measured_handlers
from relevo_server.telemetry.telemetry import Telemetry


class _Guarded(NamedTuple):
    """The handler of a method, and the one that refuses unknown callers."""

    open: Any  # Handler: only the stubs of grpcio know it as generic
    closed: Any


class GatedRegistry(GenericRegistry):
    """Registers services for known callers with a server that has not been started."""

    def __init__(
        self, server: aio.Server, access: Access, telemetry: Telemetry, trail: Trail
    ) -> None:
        super().__init__(server)
        self.access = access
        self.trail = trail
        self._telemetry = telemetry

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Register the handlers of a service, each measured and behind the gate."""
        refusing = {name: _refusing(name, self.access, self.trail) for name in method_handlers}
        opened = measured_handlers(service_name, method_handlers, self._telemetry)
        closed = measured_handlers(service_name, refusing, self._telemetry)
        guarded = {
            f"/{service_name}/{name}": _Guarded(opened[name], closed[name])
            for name in method_handlers
        }
        self.server.add_generic_rpc_handlers((_Gate(guarded, self.access),))


class _Gate(grpc.GenericRpcHandler):
    """Chooses the handler of each call by its headers."""

    def __init__(self, handlers: dict[str, _Guarded], access: Access) -> None:
        self._handlers = handlers
        self._access = access

    @property
    def paths(self) -> Iterable[str]:
        """The methods' paths."""
        return self._handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of a call; None for a method of another service."""
        guarded = self._handlers.get(handler_call_details.method)
        if guarded is None:
            return None
        is_stranger = self._access.is_stranger(handler_call_details.invocation_metadata or ())
        handler: Handler = guarded.closed if is_stranger else guarded.open
        return handler


def _refusing(method: str, access: Access, trail: Trail) -> Handler:
    """The handler of a method for callers that are unknown. It reads no request."""

    async def refuse(requests: Any, context: Context) -> Any:
        failure = errors.unauthenticated()  # if it is known by now, it may ask again
        try:
            await access.authenticate(context)
        except StoreError as error:
            failure = error
        trail.failed(method, "", context.peer, failure)
        ending = fail(context, failure, method)
        del requests, context, failure  # as in `Admission.method`
        await ending
        yield  # makes this a stream of responses, which is empty

    return stream_stream_rpc_method_handler(refuse)
