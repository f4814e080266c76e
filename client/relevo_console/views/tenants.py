"""Tenants: what they did, what they have stored, and how much of their quotas that is."""

from collections.abc import Sequence
from dataclasses import dataclass

from relevo.admin.v1 import admin_pb2
from relevo_look import units

ORDERS = {
    "calls": admin_pb2.TOP_ORDER_CALLS,
    "bytes": admin_pb2.TOP_ORDER_BYTES,
    "misses": admin_pb2.TOP_ORDER_MISSES,
}
_NEARLY = 0.8
"""The share of a quota from which it is nearly used up."""


@dataclass(frozen=True)
class Tenant:
    """A tenant's activity since the server started."""

    id: str
    calls: int
    size: str
    misses: int


@dataclass(frozen=True)
class Quota:
    """The use of one quota."""

    name: str
    used: str
    limit: str
    """"no limit" if there is none."""
    share: float
    """The part of the limit that is used, at most 1; 0 without a limit."""
    level: str
    """The level of that: a key of `look.LEVELS`."""


@dataclass(frozen=True)
class Scope:
    """The stored entries of a scope."""

    name: str
    entries: int
    size: str


@dataclass(frozen=True)
class Usage:
    """A tenant's usage."""

    scopes: Sequence[Scope]
    entries: int
    size: str
    quotas: Sequence[Quota]
    activity: Tenant


def tenant(activity: admin_pb2.TenantActivity) -> Tenant:
    """The view of a tenant's activity."""
    return Tenant(activity.tenant_id, activity.calls, units.size(activity.bytes), activity.misses)


def usage(found: admin_pb2.GetUsageResponse) -> Usage:
    """The view of what a tenant uses."""
    scopes = [
        Scope(each.scope or "(all further scopes)", each.entries, units.size(each.bytes))
        for each in found.scopes
    ]
    return Usage(
        scopes,
        sum(each.entries for each in found.scopes),
        units.size(sum(each.bytes for each in found.scopes)),
        [_quota(each) for each in found.quotas],
        tenant(found.activity),
    )


def _quota(usage: admin_pb2.QuotaUsage) -> Quota:
    shown = units.size if usage.quota == "bytes" else _number
    name = usage.quota.replace("_", " ")
    if not usage.HasField("limit"):
        return Quota(name, shown(usage.used), "no limit", 0.0, "idle")
    share = usage.used / usage.limit if usage.limit else 1.0
    level = "bad" if share >= 1 else "warning" if share >= _NEARLY else "good"
    return Quota(name, shown(usage.used), shown(usage.limit), min(1.0, share), level)


def _number(count: float) -> str:
    return f"{count:,.0f}"
