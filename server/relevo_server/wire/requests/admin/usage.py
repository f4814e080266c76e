"""GetUsage and ListTopTenants: what tenants use."""

from itertools import chain
from typing import NamedTuple

from relevo.admin.v1.admin_pb2 import GetUsageRequest, ListTopTenantsRequest, TopOrder

from relevo_server.roles import ADMIN
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.rules import Rights, count_problems, part_problems, refuse

_DEFAULT_SIZE, _MAX_SIZE = 10, 100
_ORDERS = frozenset(TopOrder.values())
_decode_usage = decoder(GetUsageRequest)
_decode_top = decoder(ListTopTenantsRequest)


class ListTopTenants(NamedTuple):
    """A checked ListTopTenantsRequest."""

    order: TopOrder
    size: int


def read_get_usage(serialized: bytes, rights: Rights) -> str:
    """Read a GetUsageRequest: the tenant. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode_usage(serialized)
    rights.require(request.tenant_id, ADMIN, "")
    refuse(part_problems("", tenant_id=request.tenant_id))
    return request.tenant_id


def read_list_top_tenants(serialized: bytes, rights: Rights) -> ListTopTenants:
    """Read a ListTopTenantsRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode_top(serialized)
    rights.require_everything(ADMIN)
    is_known = request.order_by in _ORDERS
    refuse(
        chain(
            [] if is_known else [("order_by", "is not a known value")],
            count_problems("page_size", request.page_size, _MAX_SIZE),
        )
    )
    return ListTopTenants(request.order_by, request.page_size or _DEFAULT_SIZE)
