"""The Admin service: each RPC from a checked request to its response."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc import (
    RpcMethodHandler,
    unary_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from relevo.admin.v1 import admin_pb2

from relevo_server.access.callers import Caller
from relevo_server.audit import Event
from relevo_server.roles import ADMIN
from relevo_server.service.admin.changes import Changes
from relevo_server.service.admin.clients import Clients
from relevo_server.service.admin.encryption import Encryption
from relevo_server.service.admin.explain import Explainer
from relevo_server.service.admin.keys import Keys
from relevo_server.service.admin.status import Status
from relevo_server.service.admin.usage import Usage
from relevo_server.service.admission import Admission, Context, Read, Request, fail, name_of
from relevo_server.service.auditing import recorded, subjects_of
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
        self._access = parts.access
        self._trail = parts.trail
        self._admission = Admission(parts.access, _CALLS, parts.unsent, trail=parts.trail)
        self._status = Status(parts)
        self._clients = Clients(parts.watching.connections)
        self._explainer = Explainer(parts)
        self._usage = Usage(parts.storage, parts.activity, parts.shares)
        self._keys = Keys(parts.storage)
        self._encryption = Encryption(parts.storage)
        self._changes = Changes(parts)

    def add_to(self, server: Registry) -> None:
        """Register the service with a server that has not been started."""
        method = recorded(self._admission.method, self._trail, Event.ADMIN)
        methods = {
            "GetStatus": method(self._status.get_status, _for_admins(requests.read_get_status)),
            "ListPartitions": method(
                self._status.list_partitions, _for_admins(requests.read_list_partitions)
            ),
            "ListClients": method(
                self._clients.list_clients, _for_admins(requests.read_list_clients)
            ),
            "Explain": method(self._explainer.explain, _for_admins(requests.read_explain)),
            "GetUsage": method(self._usage.get_usage, _for_admins(requests.read_get_usage)),
            "ListTopTenants": method(
                self._usage.list_top_tenants, _for_admins(requests.read_list_top_tenants)
            ),
            "ListKeys": method(self._keys.list_keys, _for_admins(requests.read_list_keys)),
            "ShredTenant": method(
                self._encryption.shred_tenant, _for_admins(requests.read_shred_tenant)
            ),
            "RewrapKeys": method(
                self._encryption.rewrap_keys, _for_admins(requests.read_rewrap_keys)
            ),
        }
        handlers: dict[str, RpcMethodHandler[Any, Any]] = {
            name: unary_unary_rpc_method_handler(each) for name, each in methods.items()
        }
        handlers["Changes"] = unary_stream_rpc_method_handler(
            self._stream_changes, None, admin_pb2.ChangesResponse.SerializeToString
        )
        server.add_registered_method_handlers(SERVICE, handlers)

    async def refuse(self, *, quiet: float, within: float) -> None:
        """Answer new calls UNAVAILABLE from now on, as `ContextStore.refuse` does."""
        self._changes.stop()
        await self._admission.refuse(quiet=quiet, within=within)

    async def _stream_changes(
        self, serialized: bytes, context: Context
    ) -> AsyncIterator[admin_pb2.ChangesResponse]:
        """A stream, and no call in flight: it may last for days."""
        caller = failure = None
        try:
            self._admission.require_room()
            session = await self._access.session(context)
            caller = session.caller
            request = _for_admins(requests.read_changes)(serialized, caller)
            self._trail.record(
                *(Event.ADMIN, "Changes", caller.name, context.peer()), subjects_of(request)
            )
            async with aclosing(self._changes.stream(request, session)) as responses:
                async for response in responses:
                    yield response
        except Exception as error:  # noqa: BLE001 - typed for the caller
            failure = error
        if failure:
            self._trail.failed("Changes", name_of(caller), context.peer, failure)
            ending = fail(context, failure, "Changes")
            del context, failure  # as in `Admission.method`
            await ending


def _for_admins(read: Read[Request]) -> Read[Request]:
    """`read` for callers with the role `admin`; all others are refused unread."""

    def read_for_admins(serialized: bytes, caller: Caller) -> Request:
        caller.require_role(ADMIN)
        return read(serialized, caller)

    return read_for_admins
