"""What a server did for each tenant: calls, bytes and misses, of a bounded number of tenants.

The counters are those of Space-Saving: Metwally, Agrawal and El Abbadi, "Efficient Computation of
Frequent and Top-k Elements in Data Streams", ICDT 2005. A tenant that is new when there is no room
takes over the count of one that is dropped, so no count is ever too low, and each is too high by
at most the greatest count that was dropped. Tenants are dropped many at once, as by Anderson et
al., "A High-Performance Algorithm for Identifying Frequent Items in Data Streams", IMC 2017: so a
call costs one look into a dictionary, and a new tenant little more.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

CALLS, BYTES, MISSES = range(3)
"""The counts of a tenant, by their place in its row."""
_FIGURES = 3


class Ranked(NamedTuple):
    """A tenant with its counts."""

    tenant_id: str
    counts: Sequence[int]


class Activity:
    """The counts of a server. `kept` tenants of each order are never dropped."""

    def __init__(self, kept: int = 500) -> None:
        self._kept = kept
        self._rows: dict[str, list[int]] = {}
        self._dropped = [0] * _FIGURES

    def of(self, tenant_id: str) -> list[int]:
        """The row of a tenant, to be read or added to."""
        return self._rows.get(tenant_id) or self._added(tenant_id)

    def counts(self, tenant_id: str) -> Sequence[int]:
        """The counts of a tenant; 0 if it is not counted, or no longer."""
        return self._rows.get(tenant_id) or [0] * _FIGURES

    def top(self, figure: int, size: int) -> Sequence[Ranked]:
        """The tenants with the greatest counts of one figure, the greatest first."""
        ranked = heapq.nlargest(size, self._rows.items(), key=lambda item: item[1][figure])
        return [Ranked(tenant_id, tuple(row)) for tenant_id, row in ranked if row[figure]]

    def error(self, figure: int) -> int:
        """By how much a count of this figure may be too high."""
        return self._dropped[figure]

    def _added(self, tenant_id: str) -> list[int]:
        # At most twice as many as may be kept, so that at least half of them go at once.
        if len(self._rows) >= 2 * _FIGURES * self._kept:
            self._drop()
        row = self._rows[tenant_id] = list(self._dropped)
        return row

    def _drop(self) -> None:
        """Drop the tenants that are in no order among the first."""
        kept: dict[str, list[int]] = {}
        for figure in range(_FIGURES):
            kept.update(
                heapq.nlargest(self._kept, self._rows.items(), key=lambda item: item[1][figure])
            )
        for tenant_id, row in self._rows.items():
            if tenant_id not in kept:
                self._dropped = list(map(max, self._dropped, row))
        self._rows = kept
