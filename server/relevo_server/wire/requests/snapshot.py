"""Snapshot: the entry to compose, how new it must be, and how long its snapshot is to live."""

from itertools import chain
from typing import NamedTuple

from relevo.v1.store_pb2 import GetRequest, SnapshotRequest

from relevo_server.keys import Key
from relevo_server.roles import READ, WRITE
from relevo_server.wire.contexts import key_of
from relevo_server.wire.decoding import decoder
from relevo_server.wire.digests import SCOPE
from relevo_server.wire.requests.get import Get, get_of, get_problems
from relevo_server.wire.requests.put import PutLimits, ttl_problems
from relevo_server.wire.requests.rules import Rights, duration_ms, refuse

_decode = decoder(SnapshotRequest)


class Snapshot(NamedTuple):
    """A checked SnapshotRequest."""

    get: Get
    """The read of the entry with its layers."""
    ttl_ms: int | None
    """Milliseconds that the snapshot is to live; None: as its scope says."""
    principal: str
    """The principal that asks for it, "" if the server has none."""

    @property
    def key(self) -> Key:
        """The key of the entry."""
        return self.get.key


def read_snapshot(serialized: bytes, rights: Rights, limits: PutLimits) -> Snapshot:
    """Read a SnapshotRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode(serialized)
    key = key_of(request.key)
    rights.require(key.tenant_id, READ, key.scope)
    rights.require(key.tenant_id, WRITE, SCOPE)
    ttl_ms = duration_ms(request.ttl) if request.HasField("ttl") else None
    read = GetRequest(
        key=request.key,
        min_revision=request.min_revision,
        consistency=request.consistency,
        include_layers=True,
    )
    get = get_of(read)
    refuse(
        chain(
            get_problems(get, request.consistency),
            ttl_problems(request, ttl_ms, limits.ttl_ms),
        )
    )
    return Snapshot(get._replace(readable=rights.readable), ttl_ms, rights.name)
