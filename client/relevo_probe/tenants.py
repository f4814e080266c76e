"""Asks a store for tenants of which every partition has one."""

import time
from collections.abc import Sequence
from itertools import islice

from relevo_client import AccessDeniedError, ContextClient, UnavailableError

from relevo_probe.attention import Attention
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


class Tenants:
    """Asks a store for the tenants of one run, until the run is over.

    Args:
        client: a client of one server.
        run: the name of the run.
        attention: says whether the run is over: each method returns then, done or not.
        within: for how many seconds a store that is not available is asked again.

    """

    def __init__(
        self, client: ContextClient, run: str, attention: Attention, *, within: float
    ) -> None:
        self._client = client
        self._run = run
        self._attention = attention
        self._deadline = time.monotonic() + within

    def find(self, prefix: str) -> Sequence[str]:
        """A tenant for each partition, by putting one entry under some of them.

        Raises NoTenantError and UnavailableError.
        """
        search, denied = Search(prefix), 0
        for tenant_id in islice(names(prefix), _TRIED):
            if search.is_over:
                break
            try:
                partition = self._partition_of(tenant_id)
            except AccessDeniedError as error:
                denied += 1
                if denied < _DENIED:
                    continue
                if search.found:
                    return list(search.few_tenants().values())
                tried = f"{prefix}-0 to {prefix}-{denied - 1}"
                raise NoTenantError(f"the caller may not use the tenants {tried}") from error
            if partition is None:
                break
            search.add(tenant_id, partition)
        return list(search.tenants().values())

    def must_be_usable(self, tenants: Sequence[str]) -> None:
        """Raise NoTenantError unless the caller may use all of the tenants; UnavailableError."""
        denied: list[str] = []
        for tenant_id in tenants:
            try:
                self._partition_of(tenant_id)
            except AccessDeniedError:
                denied.append(tenant_id)
        if denied:
            named = ", ".join(denied[:3])
            more = f" and {len(denied) - 3} more" if len(denied) > 3 else ""
            raise NoTenantError(f"the caller may not use the tenants {named}{more}")

    def _partition_of(self, tenant_id: str) -> int | None:
        """The partition of a tenant; None if the run is over.

        Raises AccessDeniedError, and UnavailableError after the deadline.
        """
        canaries = Canaries(tenant_id, self._run)
        while not self._attention.is_over:
            try:
                ref = self._client.put(
                    canaries.first, canaries.context(canaries.first, 0), ttl=_TTL
                )
                return self._client.get(ref.key, min_revision=ref.revision).partition
            except UnavailableError:
                if time.monotonic() >= self._deadline:
                    raise
                self._attention.wait_for_end(_AGAIN)
        return None
