"""Changes as rows, and the choice of those that a page shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relevo.admin.v1 import admin_pb2
from relevo.v1 import store_pb2
from relevo_cli import changed, keys
from relevo_server.keys import Key


@dataclass(frozen=True)
class Selection:
    """The owner of the shown changes. A key, or a tenant with or without a scope."""

    tenant: str
    scope: str = ""
    key: Key | None = None
    principal: str = ""
    """Only changes by this principal, "" for all. The console filters them, not the store."""

    def request(self, *, after: int, limit: int, follow: bool) -> admin_pb2.ChangesRequest:
        """The request for these changes."""
        request = admin_pb2.ChangesRequest(after_revision=after, limit=limit, follow=follow)
        if self.key:
            request.key.CopyFrom(keys.message(self.key))
        else:
            request.tenant.CopyFrom(
                store_pb2.TenantSelector(tenant_id=self.tenant, scope=self.scope)
            )
        return request

    def names(self, change: admin_pb2.Change) -> bool:
        """Whether a change is by the principal that is asked for."""
        return self.principal in ("", change.principal)


@dataclass(frozen=True)
class Row:
    """One change."""

    time: datetime
    revision: int
    kind: str
    principal: str
    subject: str
    key: str
    """The key, "" if a whole tenant or scope ended."""
    parts: Sequence[str]


def row(change: admin_pb2.Change) -> Row:
    """The view of a change."""
    return Row(
        change.time.ToDatetime(UTC),
        change.revision,
        changed.kind(change),
        change.principal,
        changed.subject(change),
        keys.text(change.key) if change.HasField("key") else "",
        change.fields,
    )
