"""What the store refuses or cannot answer, as the pages say it."""

from enum import StrEnum
from typing import Any

import grpc
from relevo_cli import failures


class Kind(StrEnum):
    """The kinds of problems that pages treat differently."""

    SIGN_IN = "sign-in"
    """The token is missing, unknown or expired."""
    ROLE = "role"
    """The principal lacks a role."""
    TENANT = "tenant"
    """The principal may not use the tenant, or not all tenants."""
    AWAY = "away"
    """The server or its store cannot be reached."""
    ABSENT = "absent"
    """There is no such entry."""
    BEHIND = "behind"
    """The store has not reached the revision."""
    OTHER = "other"


_BY_REASON = {
    "UNAUTHENTICATED": Kind.SIGN_IN,
    "ROLE_DENIED": Kind.ROLE,
    "TENANT_DENIED": Kind.TENANT,
    "NO_ENTRY": Kind.ABSENT,
    "STORE_BEHIND": Kind.BEHIND,
    "STORE_UNAVAILABLE": Kind.AWAY,
    "SERVER_STOPPING": Kind.AWAY,
}
_BY_CODE = {
    grpc.StatusCode.UNAUTHENTICATED: Kind.SIGN_IN,
    grpc.StatusCode.PERMISSION_DENIED: Kind.ROLE,
    grpc.StatusCode.NOT_FOUND: Kind.ABSENT,
    grpc.StatusCode.UNAVAILABLE: Kind.AWAY,
    grpc.StatusCode.DEADLINE_EXCEEDED: Kind.AWAY,
    grpc.StatusCode.CANCELLED: Kind.AWAY,
}
HTTP_STATUS = {
    Kind.SIGN_IN: 401,
    Kind.ROLE: 403,
    Kind.TENANT: 403,
    Kind.AWAY: 503,
    Kind.ABSENT: 404,
    Kind.BEHIND: 409,
    Kind.OTHER: 502,
}
"""The status of a page that shows nothing but the problem."""


class StoreCallError(Exception):
    """Raised if the store does not answer as asked. Its text goes to the viewer."""

    def __init__(self, kind: Kind, text: str, role: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.role = role
        """The missing role, for `Kind.ROLE`."""


def problem_of(error: grpc.RpcError) -> StoreCallError:
    """The problem of a failed call."""
    call: Any = error
    info = failures.info_of(error)
    kind = _BY_REASON.get(info.reason) or _BY_CODE.get(call.code(), Kind.OTHER)
    role = info.metadata.get("role", "") if kind is Kind.ROLE else ""
    return StoreCallError(kind, failures.explain(error)[1], role)
