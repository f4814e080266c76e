"""A platform that is too large for one store, in cells: each has a part of the tenants. Pure."""

from dataclasses import replace

from relevo_plan.constants import Costs
from relevo_plan.sizing import size
from relevo_plan.workload import Workload

_MOST = 1_000
"""Cells that are tried."""
_MOST_FOLLOWING = 0.5
"""The share of their time in which workers may follow the logs. With more, a worker that is added
does little for clients."""


def cell(workload: Workload, number: int) -> Workload:
    """One of so many cells, each with a store and with processes of its own."""
    return replace(
        workload,
        conversations=max(1, workload.conversations // number),
        turns_per_second=workload.turns_per_second / number,
        processes_per_service=max(1, workload.processes_per_service // number),
        configurations=max(1, workload.configurations // number),
        changes_per_second=workload.changes_per_second / number,
    )


def needed(workload: Workload, costs: Costs) -> int | None:
    """The fewest cells in which workers have most of their time for clients.

    1 if that is so with one store, None if a thousand are too few.
    """
    for number in range(1, _MOST + 1):
        share = size(cell(workload, number), costs).worker_share
        if share <= workload.utilisation * _MOST_FOLLOWING:
            return number
    return None
