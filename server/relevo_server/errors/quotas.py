"""Errors of quotas: a tenant or a principal uses as much as it may."""

import math

from grpc import StatusCode

from relevo_server.errors.base import RETRY_DELAY, StoreError
from relevo_server.errors.reason import Reason
from relevo_server.quotas import Limits, Quota

_LONGEST_DELAY = 60.0
"""Seconds. A caller that waits longer than that would not notice that the limit was raised."""
_TEXTS = {
    Quota.CALLS: "the tenant has {} calls in flight",
    Quota.LEASE_WAITS: "the tenant has {} calls that wait for a lease",
    Quota.WATCH_STREAMS: "{} streams watch entries of the tenant",
    Quota.SUBSCRIPTIONS: "the tenant has {} subscriptions",
    Quota.WRITES: "the tenant has used up its writes, {} a second",
    Quota.INVALIDATIONS: "the tenant has used up its invalidations, {} a second",
    Quota.ENTRIES: "the tenant may have {} entries in the store",
    Quota.BYTES: "the tenant may have {} bytes in the store",
    Quota.PRINCIPAL_CALLS: "the caller has {} calls in flight",
    Quota.PRINCIPAL_BYTES: "the caller may have {} bytes of requests in flight",
    Quota.PRINCIPAL_STREAMS: "the caller has {} open streams",
}


def quota_exceeded(
    quota: Quota,
    limit: float,
    *,
    tenant_id: str = "",
    principal: str = "",
    retry_after: float = RETRY_DELAY,
) -> StoreError:
    """RESOURCE_EXHAUSTED: a tenant or a principal uses as much of something as it may.

    Nothing was done. Others are not affected. The client can repeat the call after the
    RetryInfo's delay; if that does not help, the tenant has to use less, or the operator has to
    raise the limit in `quotas`. The metadata `quota` and `limit` say which one it is, and
    `tenant_id` or `principal` whose.
    """
    number = f"{limit:g}" if limit < 1 else f"{math.floor(limit)}"
    metadata = {"quota": quota.value, "limit": number}
    metadata |= {"tenant_id": tenant_id} if tenant_id else {"principal": principal}
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.QUOTA_EXCEEDED,
        f"{_TEXTS[quota].format(number)}, and no more",
        metadata=metadata,
        retry_after=min(retry_after, _LONGEST_DELAY),
    )


def stored_too_much(quota: Quota, limits: Limits, tenant_id: str) -> StoreError:
    """The same for a Put with which a tenant would have more in the store than it may.

    A Put that makes an entry smaller, and an Invalidate, always have room.
    """
    limit = limits.entries if quota is Quota.ENTRIES else limits.bytes
    return quota_exceeded(quota, limit, tenant_id=tenant_id, retry_after=_LONGEST_DELAY)
