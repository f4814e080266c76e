"""Quotas: how much of a server and of its store each tenant, and each principal, may use."""

import math
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Quota(StrEnum):
    """The names of quotas in errors, metrics and the Admin service."""

    CALLS = "calls"
    LEASE_WAITS = "lease_waits"
    WATCH_STREAMS = "watch_streams"
    SUBSCRIPTIONS = "subscriptions"
    WRITES = "writes"
    INVALIDATIONS = "invalidations"
    ENTRIES = "entries"
    BYTES = "bytes"
    PRINCIPAL_CALLS = "principal_calls"
    PRINCIPAL_BYTES = "principal_bytes"
    PRINCIPAL_STREAMS = "principal_streams"


def _unlimited(value: object) -> object:
    return math.inf if value == "unlimited" else value


def _whole(value: float) -> float:
    if value != math.inf and value != int(value):
        raise ValueError('must be a whole number or "unlimited"')
    return value


_Rate: TypeAlias = Annotated[float, BeforeValidator(_unlimited), Field(ge=0)]
_Count: TypeAlias = Annotated[_Rate, AfterValidator(_whole)]

_SMALL = 64
"""Calls in flight that a tenant or a principal may have however few the server admits."""
_BURST = 5
"""Seconds' worth of a rate that may come at once if no burst is set."""
RESERVED_PART = 16
"""Of what calls may use, Invalidates have so small a part in addition."""
_STREAMS = 5_000
_SUBSCRIPTIONS = 250_000
_WRITES = 1_000
_INVALIDATIONS = 2_000
_PRINCIPAL_BYTES = 64 << 20


class Limits(NamedTuple):
    """The limits of one tenant. `math.inf` stands for none."""

    calls: float
    lease_waits: float
    watch_streams: float
    subscriptions: float
    writes: float
    writes_burst: float
    invalidations: float
    invalidations_burst: float
    entries: float
    bytes: float

    @property
    def are_stored(self) -> bool:
        """Whether what the tenant has in the store is limited."""
        return self.entries != math.inf or self.bytes != math.inf

    def of_worker(self, workers: int) -> "Limits":
        """Those of one of `workers` processes, which together are the server.

        What the tenant has in the store is not divided: all of them share it.
        """
        return self._replace(
            calls=part_of(self.calls, workers),
            lease_waits=part_of(self.lease_waits, workers),
            watch_streams=part_of(self.watch_streams, workers),
            subscriptions=part_of(self.subscriptions, workers),
            writes=self.writes / workers,
            writes_burst=part_of(self.writes_burst, workers),
            invalidations=self.invalidations / workers,
            invalidations_burst=part_of(self.invalidations_burst, workers),
        )


class PrincipalLimits(NamedTuple):
    """The limits of each principal. `math.inf` stands for none."""

    calls: float
    bytes: float
    streams: float

    def of_worker(self, workers: int) -> "PrincipalLimits":
        """Those of one of `workers` processes, which together are the server."""
        return PrincipalLimits(*(part_of(each, workers) for each in self))


LimitsOf: TypeAlias = Callable[[str], Limits | None]
"""The limits of a tenant, None if what it has in the store is not limited."""


class TenantQuota(BaseModel):
    """The limits of a tenant: whole numbers, or "unlimited"."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    calls: _Count | None = None
    """Calls in flight on one server, without Invalidates. Default: half of
    max_concurrent_calls, but at least 64."""
    lease_waits: _Count | None = None
    """Lease calls that wait on one server. Default: a quarter of max_concurrent_calls, but at
    least 64."""
    watch_streams: _Count | None = None
    """Watch streams on one server that subscribe to entries of the tenant. Default: 5,000."""
    subscriptions: _Count | None = None
    """Subscriptions of all these streams. Default: 250,000."""
    writes: _Rate | None = None
    """Puts a second on one server. Default: 1,000."""
    writes_burst: _Count | None = None
    """Puts that may come at once. Default: five seconds' worth."""
    invalidations: _Rate | None = None
    """Keys and tenants a second that Invalidates on one server name. Default: 2,000."""
    invalidations_burst: _Count | None = None
    """Keys that may come at once. Default: five seconds' worth."""
    entries: _Count | None = None
    """Entries in the store. Default: "unlimited"."""
    bytes: _Count | None = None
    """Bytes of the contexts of these entries. Default: "unlimited"."""


class PatternQuota(TenantQuota):
    """The limits of the tenants that match a pattern; those that are left out are the default's."""

    pattern: Annotated[str, Field(min_length=1, max_length=256)]
    """The tenant's name. `*` stands for any characters."""

    def matches(self, tenant_id: str) -> bool:
        """Whether these limits are for a tenant."""
        return _expression(self.pattern).fullmatch(tenant_id) is not None


class PrincipalQuota(BaseModel):
    """The limits of each principal on one server: whole numbers, or "unlimited"."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    calls: _Count | None = None
    """Calls in flight, without Invalidates. Default: half of max_concurrent_calls, but at least
    64."""
    bytes: _Count | None = None
    """Bytes of the requests in flight. One request is always admitted. Default: 64 MiB."""
    streams: _Count | None = None
    """Open Watch streams. Default: 5,000."""


class Quotas(BaseModel):
    """The quotas of tenants and principals, in a server and its store."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    default: TenantQuota = TenantQuota()
    """The limits of each tenant."""
    tenants: tuple[PatternQuota, ...] = ()
    """The limits of some tenants: the first whose `pattern` matches applies."""
    principal: PrincipalQuota = PrincipalQuota()
    """The limits of each principal. They do not apply to a server without principals."""
    recount_interval: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    """Seconds between two counts of what tenants have in the store, if that is limited."""

    def of_tenant(self, tenant_id: str, max_calls: int) -> Limits:
        """The limits of a tenant, on a server that has `max_calls` calls in flight at most."""
        own = next((each for each in self.tenants if each.matches(tenant_id)), None)
        return _limits([own, self.default] if own else [self.default], max_calls)

    def of_principals(self, max_calls: int) -> PrincipalLimits:
        """The limits of each principal, on such a server."""
        own = self.principal
        return PrincipalLimits(
            calls=_first([own.calls], _share(max_calls, 2)),
            bytes=_first([own.bytes], _PRINCIPAL_BYTES),
            streams=_first([own.streams], _STREAMS),
        )

    @property
    def limit_stores(self) -> bool:
        """Whether any tenant's entries or bytes in the store are limited."""
        return any(
            limit not in (None, math.inf)
            for each in (self.default, *self.tenants)
            for limit in (each.entries, each.bytes)
        )


@lru_cache(1024)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def part_of(limit: float, workers: int) -> float:
    """The part of a server's limit that one of its worker processes has: equal, and rounded up.

    So the parts of all workers together exceed the limit by less than their number.
    """
    return limit if limit == math.inf else -(-limit // workers)


def reserve_of(max_calls: int) -> int:
    """The number of Invalidates that a server admits in addition to `max_calls` calls."""
    return max(max_calls // RESERVED_PART, 16)


def _limits(quotas: Sequence[TenantQuota], max_calls: int) -> Limits:
    """The limits by the first quota that has each, or else by default."""
    writes = _rate([(each.writes, each.writes_burst) for each in quotas], _WRITES)
    invalidations = _rate(
        [(each.invalidations, each.invalidations_burst) for each in quotas], _INVALIDATIONS
    )
    return Limits(
        _first([each.calls for each in quotas], _share(max_calls, 2)),
        _first([each.lease_waits for each in quotas], _share(max_calls, 4)),
        _first([each.watch_streams for each in quotas], _STREAMS),
        _first([each.subscriptions for each in quotas], _SUBSCRIPTIONS),
        *writes,
        *invalidations,
        _first([each.entries for each in quotas], math.inf),
        _first([each.bytes for each in quotas], math.inf),
    )


def _share(max_calls: int, part: int) -> int:
    return max(max_calls // part, min(max_calls, _SMALL))


def _first(limits: Sequence[float | None], default: float) -> float:
    """The first limit that is set, or the default."""
    return next((each for each in limits if each is not None), default)


def _rate(
    limits: Sequence[tuple[float | None, float | None]], default: float
) -> tuple[float, float]:
    """The first rate that is set, and its burst: the one set beside it, or earlier."""
    burst: float | None = None
    for rate, own_burst in (*limits, (default, None)):
        burst = own_burst if burst is None else burst
        if rate is not None:
            default = rate
            break
    if burst is None:
        burst = max(1.0, _BURST * default) if default else 0.0
    return default, burst
