"""The words for a change: its kind and its subject."""

from relevo.admin.v1 import admin_pb2

from relevo_cli import keys

_KINDS = {
    admin_pb2.CHANGE_KIND_PUT: "put",
    admin_pb2.CHANGE_KIND_INVALIDATE: "invalidate",
    admin_pb2.CHANGE_KIND_INVALIDATE_TENANT: "invalidate",
}


def kind(change: admin_pb2.Change) -> str:
    """The kind of a change: `put`, `invalidate`, or `?` for one of a later server."""
    return _KINDS.get(change.kind, "?")


def subject(change: admin_pb2.Change) -> str:
    """The subject of a change: a key, a tenant, or a scope of a tenant."""
    if not change.HasField("tenant"):
        return keys.text(change.key)
    scope = f", scope {change.tenant.scope}" if change.tenant.scope else ""
    return f"all of {change.tenant.tenant_id}{scope}"
