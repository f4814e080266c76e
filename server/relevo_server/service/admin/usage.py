"""GetUsage and ListTopTenants: what tenants have stored, and what the server did for them."""

import math
from collections.abc import Sequence

from relevo.admin.v1.admin_pb2 import (
    GetUsageResponse,
    ListTopTenantsResponse,
    QuotaUsage,
    ScopeUsage,
    TenantActivity,
    TopOrder,
)

from relevo_server.quotas import Quota
from relevo_server.service.activity import BYTES, CALLS, MISSES, Activity
from relevo_server.service.shares import Shares, Used
from relevo_server.storage.interface import Storage
from relevo_server.wire.requests.admin import ListTopTenants

_MAX_SCOPES = 1000
_FIGURES = {
    TopOrder.TOP_ORDER_UNSPECIFIED: CALLS,
    TopOrder.TOP_ORDER_CALLS: CALLS,
    TopOrder.TOP_ORDER_BYTES: BYTES,
    TopOrder.TOP_ORDER_MISSES: MISSES,
}


class Usage:
    """Counts what tenants use."""

    def __init__(self, storage: Storage, activity: Activity, shares: Shares) -> None:
        self._storage = storage
        self._activity = activity
        self._shares = shares

    async def get_usage(self, tenant_id: str) -> GetUsageResponse:
        """The stored entries of a tenant, by a search through all of the database's names."""
        scopes: dict[str, ScopeUsage] = {}
        async for some in self._storage.inspection.sizes(tenant_id):
            for scope, size in some:
                named = scope if scope in scopes or len(scopes) < _MAX_SCOPES else ""
                usage = scopes.get(named) or scopes.setdefault(named, ScopeUsage(scope=named))
                usage.entries += 1
                usage.bytes += size
        return GetUsageResponse(
            scopes=[scopes[scope] for scope in sorted(scopes)],
            activity=_activity(tenant_id, self._activity.counts(tenant_id)),
            quotas=[_quota(each) for each in await self._used(tenant_id)],
        )

    async def _used(self, tenant_id: str) -> Sequence[Used]:
        """A tenant's use of its quotas, on this server and in the store."""
        used = self._shares.usage(tenant_id)
        limits = self._storage.limits_of(tenant_id)
        if limits is None:
            return used
        held = await self._storage.inspection.held(tenant_id)
        return [
            *used,
            Used(Quota.ENTRIES, held.entries, limits.entries),
            Used(Quota.BYTES, held.bytes, limits.bytes),
        ]

    async def list_top_tenants(self, request: ListTopTenants) -> ListTopTenantsResponse:
        """The tenants for which the server did most."""
        figure = _FIGURES[request.order]
        return ListTopTenantsResponse(
            tenants=[_activity(*ranked) for ranked in self._activity.top(figure, request.size)],
            error=self._activity.error(figure),
        )


def _quota(used: Used) -> QuotaUsage:
    usage = QuotaUsage(quota=used.quota.value, used=used.used)
    if used.limit != math.inf:
        usage.limit = int(used.limit)
    return usage


def _activity(tenant_id: str, counts: Sequence[int]) -> TenantActivity:
    calls, size, misses = counts
    return TenantActivity(tenant_id=tenant_id, calls=calls, bytes=size, misses=misses)
