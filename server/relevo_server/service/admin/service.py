"""The Admin service: each RPC from a checked request to its response."""

from typing import Any

from grpc import RpcMethodHandler, unary_unary_rpc_method_handler
from relevo.admin.v1 import admin_pb2

from relevo_server.service.access import Caller
from relevo_server.service.admin.keys import Keys
from relevo_server.service.admin.status import Status
from relevo_server.service.admission import Admission, Read, Request
from relevo_server.service.parts import Parts
from relevo_server.telemetry.calls import Registry
from relevo_server.wire.requests import admin as requests

SERVICE = admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name
_CALLS = 64
"""The most concurrent calls. They do not count as calls of the store, nor wait for their end: an
operator can look at a server that refuses calls."""


class Admin:
    """Answers `relevo.admin.v1.Admin` about one server and its store."""

    def __init__(self, parts: Parts) -> None:
        self._admission = Admission(parts.access, _CALLS)
        self._status = Status(parts)
        self._keys = Keys(parts.storage)

    def add_to(self, server: Registry) -> None:
        """Register the service with a server that has not been started."""
        method = self._admission.method
        methods = {
            "GetStatus": method(self._status.get_status, _for_admins(requests.read_get_status)),
            "ListPartitions": method(
                self._status.list_partitions, _for_admins(requests.read_list_partitions)
            ),
            "ListKeys": method(self._keys.list_keys, _for_admins(requests.read_list_keys)),
        }
        handlers: dict[str, RpcMethodHandler[Any, Any]] = {
            name: unary_unary_rpc_method_handler(each) for name, each in methods.items()
        }
        server.add_registered_method_handlers(SERVICE, handlers)

    async def refuse(self, *, quiet: float, within: float) -> None:
        """Answer new calls UNAVAILABLE from now on, as `ContextStore.refuse` does."""
        await self._admission.refuse(quiet=quiet, within=within)


def _for_admins(read: Read[Request]) -> Read[Request]:
    """`read` for callers with the role `admin`; all others are refused unread."""

    def read_for_admins(serialized: bytes, caller: Caller) -> Request:
        caller.require_admin()
        return read(serialized, caller)

    return read_for_admins
