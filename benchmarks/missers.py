"""A thousand tasks in four processes that miss the same entry at once.

How often it is made, and how long it is until all have it: by `get_or_create`, against
a lock by SET NX, which the others poll (see misser.py). Making it takes 50 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import servers
from benchmarks.figures import Figure, Goal, paired
from benchmarks.run import Run
from benchmarks.workers import Worker, ask_all, workers

PROCESSES = 4
MISSERS = 1000


@dataclass(frozen=True)
class Round:
    """What one missing entry came to."""

    made: int
    """How often it was made."""
    milliseconds: float
    """Until all had it."""


async def measure(run: Run) -> list[Figure]:
    """How often it was made at most, and the times."""
    taken: dict[str, list[Round]] = {"relevo": [], "lock": []}
    with servers.relevo(run.redis, run.prefix, run.cores) as server:
        where = {"relevo": server.address, "lock": run.redis}
        async with workers("benchmarks.misser", PROCESSES) as processes:
            for i in range(-1, run.schedule.rounds):  # one to warm up: connections are made
                run.schedule.say(f"Miss, round {i + 1} of {run.schedule.rounds}")
                for side, address in where.items():
                    name = f"{run.prefix}:missing:{side}:{i}"
                    found = await _round(processes, side, name, address)
                    if i >= 0:
                        taken[side].append(found)
            await ask_all(processes, "close")
    own, other = taken.values()
    return [
        paired(
            "Miss/factory calls",
            "calls",
            [each.made for each in own],
            [each.made for each in other],
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
    told = await ask_all(processes, side, MISSERS // PROCESSES, name, address)
    begun, ended, made = zip(*told, strict=True)
    return Round(sum(made), (max(ended) - min(begun)) / 1e6)
