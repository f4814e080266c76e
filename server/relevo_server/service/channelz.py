"""Channelz: gRPC's own view of the process, its servers, sockets and channels.

What it tells of all clients (addresses, numbers of calls) is for operators: callers need the role
`admin`. grpcio's own registration would let everyone in.
"""

from typing import Any

from google.protobuf.message import DecodeError
from grpc import aio, unary_unary_rpc_method_handler
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc

from relevo_server import errors
from relevo_server.access.access import Access
from relevo_server.audit import Event, Trail
from relevo_server.audit.records import Subject
from relevo_server.errors import StoreError
from relevo_server.roles import ADMIN
from relevo_server.service.admission import Context, fail, name_of
from relevo_server.service.gate import GatedRegistry
from relevo_server.telemetry.calls import Handlers
from relevo_server.telemetry.telemetry import NOTHING
from relevo_server.wire.decoding import UNREADABLE

NAME = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name


def add_to(server: aio.Server, access: Access, trail: Trail) -> None:
    """Register channelz with a server that has not been started."""
    untyped: Any = channelz_pb2_grpc
    servicer = channelz.aio.ChannelzServicer()
    untyped.add_ChannelzServicer_to_server(servicer, _ForAdmins(server, access, trail))


class _ForAdmins(GatedRegistry):
    """Registers handlers that answer callers with the role `admin` only."""

    def __init__(self, server: aio.Server, access: Access, trail: Trail) -> None:
        super().__init__(server, access, NOTHING, trail)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Register the handlers, each behind a check of its caller."""
        guarded = {name: self._guarded(name, each) for name, each in method_handlers.items()}
        super().add_registered_method_handlers(service_name, guarded)

    def _guarded(self, method: str, handler: Any) -> Any:
        behavior, read = handler.unary_unary, handler.request_deserializer

        async def answer(serialized: bytes, context: Context) -> Any:
            caller = None
            try:
                caller = await self.access.authenticate(context)
                caller.require_role(ADMIN)
                request = read(serialized)
            except DecodeError:
                await fail(context, errors.invalid([UNREADABLE]), method)
            except StoreError as error:
                self.trail.failed(method, name_of(caller), context.peer, error)
                await fail(context, error, method)
            self.trail.record(Event.ADMIN, method, caller.name, context.peer(), [Subject()])
            return await behavior(request, context)

        make: Any = unary_unary_rpc_method_handler  # its types are those of one method
        return make(answer, response_serializer=handler.response_serializer)
