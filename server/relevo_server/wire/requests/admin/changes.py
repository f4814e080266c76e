"""Changes: the log of a tenant or a key."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from relevo.admin.v1.admin_pb2 import ChangesRequest

from relevo_server.errors import Violation
from relevo_server.keys import Key
from relevo_server.roles import ADMIN
from relevo_server.storage.events import Event
from relevo_server.wire.contexts import key_of, key_problems
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.rules import (
    Rights,
    count_problems,
    negative_problems,
    refuse,
    selector_problems,
)

_DEFAULT_LIMIT, _MAX_LIMIT = 1000, 10_000
_decode = decoder(ChangesRequest)


class Changes(NamedTuple):
    """A checked ChangesRequest."""

    key: Key | None
    """The one key, None for all of the tenant's."""
    tenant_id: str
    scope: str
    """"" for every scope."""
    after_revision: int
    is_followed: bool
    limit: int

    def names(self, event: Event) -> bool:
        """Whether an event is one of the changes that are asked for."""
        if event.revision <= self.after_revision or event.kind in ("release", "foreign"):
            return False
        if event.key and self.key:
            return event.key == self.key
        scope = event.key.scope if event.key else event.scope
        if self.tenant_id != (event.key.tenant_id if event.key else event.tenant_id):
            return False
        # The end of a whole tenant is a change of each of its scopes.
        return self.scope in ("", scope) or (event.kind == "floor" and not scope)


def read_changes(serialized: bytes, rights: Rights) -> Changes:
    """Read a ChangesRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode(serialized)
    key = key_of(request.key) if request.HasField("key") else None
    tenant_id = key.tenant_id if key else request.tenant.tenant_id
    scope = key.scope if key else request.tenant.scope
    rights.require(tenant_id, ADMIN, scope)
    refuse(
        chain(
            _target_problems(request, key),
            negative_problems("", after_revision=request.after_revision),
            count_problems("limit", request.limit, _MAX_LIMIT),
        )
    )
    limit = request.limit or _DEFAULT_LIMIT
    return Changes(key, tenant_id, scope, request.after_revision, request.follow, limit)


def _target_problems(request: ChangesRequest, key: Key | None) -> Iterator[Violation]:
    if key:
        yield from key_problems(key, "key")
    elif request.HasField("tenant"):
        tenant = request.tenant
        yield from selector_problems("tenant.", tenant.tenant_id, tenant.scope)
    else:
        yield "target", "must be given: key or tenant"
