"""Shares: what each tenant and each principal uses of one server, and what it may use at most.

Everything here runs between two awaits, so a check and what it allows are one step.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from time import monotonic
from typing import NamedTuple, TypeVar

from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.quotas import RESERVED_PART, Limits, Quota, Quotas, part_of, reserve_of
from relevo_server.service.buckets import Bucket
from relevo_server.telemetry.counts import Counts

_IDLE = 4096
"""Tenants, or principals, that are known when those that use nothing are first forgotten."""

_STREAM_DELAY = 5.0
"""Seconds before a client opens a refused stream again: the others last long."""


@dataclass(slots=True, eq=False)
class Gauge:
    """The present use of something."""

    used: int = 0


@dataclass(slots=True, eq=False)
class TenantShare:
    """A tenant's use of a server."""

    tenant_id: str
    limits: Limits
    calls: Gauge = field(default_factory=Gauge)
    invalidates: Gauge = field(default_factory=Gauge)
    lease_waits: Gauge = field(default_factory=Gauge)
    watch_streams: Gauge = field(default_factory=Gauge)
    subscriptions: Gauge = field(default_factory=Gauge)
    writes: Bucket = field(default_factory=Bucket)
    invalidations: Bucket = field(default_factory=Bucket)

    def is_idle(self, now: float) -> bool:
        """Whether the tenant uses nothing."""
        limits = self.limits
        gauges = self.calls, self.invalidates, self.lease_waits, self.subscriptions
        return (
            not any(each.used for each in gauges)
            and self.writes.is_full(now, limits.writes, limits.writes_burst)
            and self.invalidations.is_full(now, limits.invalidations, limits.invalidations_burst)
        )


@dataclass(slots=True, eq=False)
class PrincipalShare:
    """A principal's use of a server."""

    calls: Gauge = field(default_factory=Gauge)
    bytes: Gauge = field(default_factory=Gauge)
    invalidates: Gauge = field(default_factory=Gauge)
    invalidate_bytes: Gauge = field(default_factory=Gauge)
    streams: Gauge = field(default_factory=Gauge)

    def is_idle(self, _: float) -> bool:
        """Whether the principal uses nothing."""
        return not (self.calls.used or self.invalidates.used or self.streams.used)


class Used(NamedTuple):
    """The used part of a quota. `limit` is `math.inf` if there is none."""

    quota: Quota
    used: int
    limit: float


_Share = TypeVar("_Share", TenantShare, PrincipalShare)


class Shares:
    """The shares of one server that has `max_calls` calls in flight at most.

    Invalidates have room of their own, so that they get through whatever else is in flight. If
    `workers` processes are the server, each of them has an equal part of every limit.
    Methods raise RESOURCE_EXHAUSTED with the reason QUOTA_EXCEEDED, and then change
    nothing but the count of refusals.
    """

    def __init__(
        self,
        quotas: Quotas,
        max_calls: int,
        counts: Counts,
        clock: Callable[[], float] = monotonic,
        *,
        workers: int = 1,
    ) -> None:
        self._max_calls = max_calls
        self._workers = workers
        self._max_invalidates = reserve_of(int(part_of(max_calls, workers))) // 2
        self._counts = counts
        self._clock = clock
        self._tenants: dict[str, TenantShare] = {}
        self._principals: dict[str, PrincipalShare] = {}
        self._sweep_at = _IDLE
        self.update(quotas)

    def update(self, quotas: Quotas) -> None:
        """Apply these limits from now on. What is in flight goes on."""
        self._of_principals = quotas.of_principals(self._max_calls).of_worker(self._workers)
        self._limit_stores = quotas.limit_stores
        self._limits = lru_cache(_IDLE)(partial(self._limits_by, quotas))
        for share in self._tenants.values():
            share.limits = self._limits(share.tenant_id)

    def stored_limits(self, tenant_id: str) -> Limits | None:
        """The limits of a tenant, None if what it has in the store is not limited."""
        if not self._limit_stores:
            return None
        limits = self._limits(tenant_id)
        return limits if limits.are_stored else None

    def usage(self, tenant_id: str) -> Sequence[Used]:
        """A tenant's present use of this server, of all quotas that are numbers and no rates."""
        share = self._tenants.get(tenant_id) or TenantShare(tenant_id, self._limits(tenant_id))
        limits = share.limits
        return [
            Used(Quota.CALLS, share.calls.used, limits.calls),
            Used(Quota.LEASE_WAITS, share.lease_waits.used, limits.lease_waits),
            Used(Quota.WATCH_STREAMS, share.watch_streams.used, limits.watch_streams),
            Used(Quota.SUBSCRIPTIONS, share.subscriptions.used, limits.subscriptions),
        ]

    def of(self, tenant_id: str) -> TenantShare:
        """The share of a tenant."""
        share = self._tenants.get(tenant_id)
        if share is None:
            self._forget_idle()
            share = self._tenants[tenant_id] = TenantShare(tenant_id, self._limits(tenant_id))
        return share

    def of_principal(self, name: str) -> PrincipalShare:
        """The share of a principal."""
        share = self._principals.get(name)
        if share is None:
            self._forget_idle()
            share = self._principals[name] = PrincipalShare()
        return share

    def admit_call(self, tenant_id: str) -> Gauge:
        """The gauge that a call of a tenant counts in while it is in flight."""
        share = self.of(tenant_id)
        self._require(Quota.CALLS, share, share.calls, share.limits.calls)
        return share.calls

    def admit_put(self, tenant_id: str) -> Gauge:
        """The same for a Put, which also takes one of the writes of this second."""
        gauge, share = self.admit_call(tenant_id), self.of(tenant_id)
        limits = share.limits
        self._take(Quota.WRITES, share, share.writes, 1, limits.writes, limits.writes_burst)
        return gauge

    def admit_invalidate(self, tenant_id: str, keys: int) -> Gauge:
        """The same for an Invalidate of so many keys, which has room of its own."""
        share = self.of(tenant_id)
        self._require(Quota.CALLS, share, share.invalidates, self._max_invalidates)
        rate, burst = share.limits.invalidations, share.limits.invalidations_burst
        self._take(Quota.INVALIDATIONS, share, share.invalidations, keys, rate, burst)
        return share.invalidates

    def admit_principal(self, name: str, size: int, *, has_reserve: bool) -> tuple[Gauge, Gauge]:
        """The gauges for a principal's call in flight, and for its request of `size` bytes.

        One request is admitted whatever its size. `has_reserve` is whether it is an Invalidate.
        """
        share, limits = self.of_principal(name), self._of_principals
        calls, sizes, most, most_bytes = share.calls, share.bytes, limits.calls, limits.bytes
        if has_reserve:
            calls, sizes = share.invalidates, share.invalidate_bytes
            most, most_bytes = self._max_invalidates, limits.bytes / RESERVED_PART
        if calls.used >= most:
            raise self._principal_exceeded(Quota.PRINCIPAL_CALLS, name, most)
        if sizes.used and sizes.used + size > most_bytes:
            raise self._principal_exceeded(Quota.PRINCIPAL_BYTES, name, most_bytes)
        return calls, sizes

    @contextmanager
    def waiting(self, tenant_id: str) -> Generator[None]:
        """Count a call that waits for a lease."""
        share = self.of(tenant_id)
        self._require(Quota.LEASE_WAITS, share, share.lease_waits, share.limits.lease_waits)
        share.lease_waits.used += 1
        try:
            yield
        finally:
            share.lease_waits.used -= 1

    def open_stream(self, principal: str) -> "StreamShare":
        """Count a principal's Watch stream ("" for no principal). Must be paired with its `end`."""
        streams, limit = Gauge(), self._of_principals.streams
        if principal:
            streams = self.of_principal(principal).streams
            if streams.used >= limit:
                raise self._principal_exceeded(Quota.PRINCIPAL_STREAMS, principal, limit)
        return StreamShare(self, streams, self._counts.quota_refusals)

    def _limits_by(self, quotas: Quotas, tenant_id: str) -> Limits:
        return quotas.of_tenant(tenant_id, self._max_calls).of_worker(self._workers)

    def _require(self, quota: Quota, share: TenantShare, gauge: Gauge, limit: float) -> None:
        if gauge.used >= limit:
            raise self._exceeded(quota, share, limit, errors.RETRY_DELAY)

    def _take(
        self,
        quota: Quota,
        share: TenantShare,
        bucket: Bucket,
        count: int,
        rate: float,
        burst: float,
    ) -> None:
        seconds = bucket.take(count, self._clock(), rate, burst)
        if seconds:
            raise self._exceeded(quota, share, rate, seconds)

    def _exceeded(
        self, quota: Quota, share: TenantShare, limit: float, retry_after: float
    ) -> StoreError:
        self._counts.quota_refusals[quota] += 1
        tenant_id, delay = share.tenant_id, errors.spread(retry_after)
        return errors.quota_exceeded(quota, limit, tenant_id=tenant_id, retry_after=delay)

    def _principal_exceeded(self, quota: Quota, name: str, limit: float) -> StoreError:
        self._counts.quota_refusals[quota] += 1
        delay = _STREAM_DELAY if quota is Quota.PRINCIPAL_STREAMS else errors.RETRY_DELAY
        return errors.quota_exceeded(quota, limit, principal=name, retry_after=errors.spread(delay))

    def _forget_idle(self) -> None:
        """Forget those that use nothing. The amortized cost of a new one is constant."""
        if len(self._tenants) + len(self._principals) < self._sweep_at:
            return
        now = self._clock()
        self._tenants = _busy(self._tenants, now)
        self._principals = _busy(self._principals, now)
        self._sweep_at = max(_IDLE, 2 * (len(self._tenants) + len(self._principals)))


def _busy(shares: Mapping[str, _Share], now: float) -> dict[str, _Share]:
    return {name: share for name, share in shares.items() if not share.is_idle(now)}


class StreamShare:
    """One Watch stream, and its subscriptions by tenant."""

    def __init__(self, shares: Shares, streams: Gauge, refusals: dict[str, int]) -> None:
        self._shares = shares
        self._streams = streams
        self._streams.used += 1
        self._refusals = refusals
        self._subscriptions = Counter[str]()

    def subscribe(self, tenant_id: str) -> bool:
        """Count a subscription. False if the tenant's share has no room for it."""
        share, limits = self._shares.of(tenant_id), self._shares.of(tenant_id).limits
        is_first = tenant_id not in self._subscriptions
        if share.subscriptions.used >= limits.subscriptions:
            self._refusals[Quota.SUBSCRIPTIONS] += 1
            return False
        if is_first and share.watch_streams.used >= limits.watch_streams:
            self._refusals[Quota.WATCH_STREAMS] += 1
            return False
        share.watch_streams.used += is_first
        share.subscriptions.used += 1
        self._subscriptions[tenant_id] += 1
        return True

    def unsubscribe(self, tenant_id: str) -> None:
        """Count the end of a subscription."""
        self._drop(tenant_id, 1)

    def end(self) -> None:
        """Count the end of the stream and of all its subscriptions."""
        self._streams.used -= 1
        for tenant_id, count in list(self._subscriptions.items()):
            self._drop(tenant_id, count)

    def _drop(self, tenant_id: str, count: int) -> None:
        share = self._shares.of(tenant_id)
        share.subscriptions.used -= count
        self._subscriptions[tenant_id] -= count
        if not self._subscriptions[tenant_id]:
            del self._subscriptions[tenant_id]
            share.watch_streams.used -= 1
