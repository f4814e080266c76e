"""A thousand tasks in four processes that miss the same entry at once.

Measures how often the entry is created, and the time until all tasks have it: with
`get_or_create`, against a lock by SET NX that the tasks poll (see misser.py). Creating it
takes 50 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import servers
from benchmarks.figures import Figure, Goal, paired
from benchmarks.run import Run
from benchmarks.workers import Worker, call_all, workers

PROCESSES = 4
MISSERS = 1000


@dataclass(frozen=True)
class Round:
    """The measurements of one missing entry."""

    creations: int
    """The number of times that the entry was created."""
    milliseconds: float
    """The time until all tasks had it."""


async def measure(run: Run) -> list[Figure]:
    """The number of creations and the times."""
    taken: dict[str, list[Round]] = {"relevo": [], "lock": []}
    with servers.relevo(run.redis, run.prefix, run.cores) as server:
        addresses = {"relevo": server.address, "lock": run.redis}
        async with workers("benchmarks.misser", PROCESSES) as processes:
            for i in range(-1, run.schedule.rounds):  # the first round only opens connections
                run.schedule.say(f"Miss, round {i + 1} of {run.schedule.rounds}")
                for side, address in addresses.items():
                    name = f"{run.prefix}:missing:{side}:{i}"
                    result = await _round(processes, side, name, address)
                    if i >= 0:
                        taken[side].append(result)
            await call_all(processes, "close")
    own, other = taken.values()
    return [
        paired(
            "Miss/factory calls",
            "calls",
            [each.creations for each in own],
            [each.creations for each in other],
            Goal("calls", at_most=1),
        ),
        paired(
            "Miss/until all have it",
            "ms",
            [each.milliseconds for each in own],
            [each.milliseconds for each in other],
        ),
    ]


async def _round(processes: Sequence[Worker], side: str, name: str, address: str) -> Round:
    results = await call_all(processes, side, MISSERS // PROCESSES, name, address)
    starts, ends, creations = zip(*results, strict=True)
    return Round(sum(creations), (max(ends) - min(starts)) / 1e6)
