"""Asks a store for tenants of which every partition has one."""

import time
from collections.abc import Callable, Sequence
from itertools import islice

from relevo_client import AccessDeniedError, ContextClient, UnavailableError

from relevo_probe.canaries import Canaries
from relevo_probe.partitions import Search, names

_TRIED = 2000
"""The most tenants that are tried."""
_DENIED = 40
"""Refused tenants after which the search makes do with what it has."""
_AGAIN = 0.5
"""Seconds between two attempts to reach the store."""
_TTL = 10.0


class NoTenantError(Exception):
    """Raised if the caller may use none of the probe's tenants, or not all that are needed."""


def find(
    client: ContextClient, prefix: str, run: str, *, is_over: Callable[[], bool], within: float
) -> Sequence[str]:
    """A tenant for each partition, by putting one entry under some of them.

    Raises NoTenantError, and UnavailableError if the store does not answer `within` so many
    seconds, or the run is over before.
    """
    search, denied, deadline = Search(prefix), 0, time.monotonic() + within
    for tenant_id in islice(names(prefix), _TRIED):
        while not search.is_over:
            try:
                search.add(tenant_id, _partition_of(client, Canaries(tenant_id, run)))
                break
            except AccessDeniedError as error:
                denied += 1
                if denied < _DENIED:
                    break
                if search.found:
                    return list(search.few_tenants().values())
                tried = f"{prefix}-0 to {prefix}-{denied - 1}"
                raise NoTenantError(f"the caller may not use the tenants {tried}") from error
            except UnavailableError:
                if is_over() or time.monotonic() >= deadline:
                    raise
                time.sleep(_AGAIN)
    return list(search.tenants().values())


def must_be_usable(client: ContextClient, tenants: Sequence[str], run: str) -> None:
    """Raise NoTenantError unless the caller may use all of the tenants."""
    denied: list[str] = []
    for tenant_id in tenants:
        try:
            _partition_of(client, Canaries(tenant_id, run))
        except AccessDeniedError:
            denied.append(tenant_id)
    if denied:
        named = ", ".join(denied[:3])
        more = f" and {len(denied) - 3} more" if len(denied) > 3 else ""
        raise NoTenantError(f"the caller may not use the tenants {named}{more}")


def _partition_of(client: ContextClient, canaries: Canaries) -> int:
    ref = client.put(canaries.first, canaries.context(canaries.first, 0), ttl=_TTL)
    return client.get(ref.key, min_revision=ref.revision).partition
