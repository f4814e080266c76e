"""ShredTenant and RewrapKeys: the keys that encrypt values."""

from typing import NamedTuple

from relevo.admin.v1.admin_pb2 import RewrapKeysRequest, ShredTenantRequest

from relevo_server.roles import ADMIN
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.rules import Rights, negative_problems, part_problems, refuse

_decode_shred = decoder(ShredTenantRequest)
_decode_rewrap = decoder(RewrapKeysRequest)


class ShredTenant(NamedTuple):
    """A checked ShredTenantRequest."""

    tenant_id: str
    principal: str
    """The principal that asks, "" if the server has none."""


class RewrapKeys(NamedTuple):
    """A RewrapKeysRequest. Whether there is such a partition is not checked."""

    partition: int
    principal: str
    """The principal that asks, "" if the server has none."""


def read_shred_tenant(serialized: bytes, rights: Rights) -> ShredTenant:
    """Read a ShredTenantRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode_shred(serialized)
    rights.require(request.tenant_id, ADMIN, "")
    refuse(part_problems("", tenant_id=request.tenant_id))
    return ShredTenant(request.tenant_id, rights.name)


def read_rewrap_keys(serialized: bytes, rights: Rights) -> RewrapKeys:
    """Read a RewrapKeysRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode_rewrap(serialized)
    rights.require_everything(ADMIN)
    refuse(negative_problems("", partition=request.partition))
    return RewrapKeys(request.partition, rights.name)
