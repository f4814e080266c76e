"""Callers, and what each may do."""

import math
from typing import NamedTuple

from relevo_server import errors
from relevo_server.identities import Principal
from relevo_server.roles import NO_SCOPES, READ, ROLES, Grants, Role, Scopes

ALL_TENANTS = "*"


class Caller(NamedTuple):
    """Somebody who calls, with what this one may do."""

    name: str
    """The principal's name, "" if the server has no principals."""
    tenants: frozenset[str] | None
    """The tenants that the caller may use, None for all."""
    grants: Grants
    """The scopes of each role that the caller has."""
    expires: float = math.inf
    """The end of the caller's proof, in seconds since 1970."""

    def require(self, tenant_id: str, role: Role, scope: str) -> None:
        """Raise PERMISSION_DENIED if the caller may not use the tenant, or lacks the role there.

        `scope` is the scope that the role is needed for, "" for all.
        """
        tenants = self.tenants
        if tenants is not None and tenant_id not in tenants:
            raise errors.tenant_denied(tenant_id)
        scopes = self.grants.get(role, NO_SCOPES)
        if scopes is not None and scope not in scopes:
            raise errors.role_denied(role, scope)

    def require_role(self, role: Role) -> None:
        """Raise PERMISSION_DENIED if the caller does not have the role for any scope."""
        if role not in self.grants:
            raise errors.role_denied(role)

    def require_everything(self, role: Role) -> None:
        """Raise PERMISSION_DENIED if the caller lacks a tenant, or the role for a scope."""
        if self.tenants is not None:
            raise errors.tenants_denied()
        if self.grants.get(role, NO_SCOPES) is not None:
            raise errors.role_denied(role)

    @property
    def readable(self) -> Scopes:
        """The scopes that the caller may read, None for all."""
        return self.grants.get(READ, NO_SCOPES)


ANYONE = Caller("", None, dict.fromkeys(ROLES))
"""The caller of a server that knows nobody."""


def caller_of(principal: Principal, expires: float = math.inf) -> Caller:
    """The caller that a principal stands for."""
    is_for_all = ALL_TENANTS in principal.tenants
    tenants = None if is_for_all else frozenset(principal.tenants)
    return Caller(principal.name, tenants, principal.grants, expires)
