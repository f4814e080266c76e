"""Post-notification: how many reads are older than what the caller was told is written.

A caller has a service write, and reads as soon as that has answered: itself, and by services on
two servers over one Redis, whose pushes come 0 to 500 ms late. With fences that come back, and for
comparison with references that only go forwards.
"""

import asyncio
from urllib.parse import urlsplit

from support.servers.notifying import Notes, delayed_stores, notes

from benchmarks.figures import Figure, Goal
from benchmarks.run import Run

ROUNDS = 10_000
TENANTS = 8
"""The callers at a time."""
_QUICK_ROUNDS = 400
_FULL = 21
"""The rounds of the other benchmarks, if they are to be exact."""


async def measure(run: Run) -> list[Figure]:
    """The reads that were older, with and without fences that come back."""
    rounds = ROUNDS if run.schedule.rounds >= _FULL else _QUICK_ROUNDS
    figures: list[Figure] = []
    port = urlsplit(run.redis).port or 6379
    with delayed_stores(port, run.prefix) as addresses:
        async with notes(addresses) as caller:
            for come_back in (True, False):
                name = "with fences" if come_back else "without"
                run.schedule.say(f"Notifications, {name}")
                older = await _older(caller, name, rounds, come_back=come_back)
                goal = Goal("violations", at_most=0) if come_back else None
                value = float(sum(each > 0 for each in older))
                unit = f"of {rounds:,} rounds"
                figures.append(
                    Figure(f"Notifications/{name}/violations", value, unit, spread=0.0, goal=goal)
                )
    return figures


async def _older(caller: Notes, name: str, rounds: int, *, come_back: bool) -> list[int]:
    async def of_tenant(tenant_id: str) -> list[int]:
        current = await caller.begin(tenant_id)
        numbers = range(1, rounds // TENANTS + 1)
        return [await caller.round(current, each, come_back=come_back) for each in numbers]

    tenants = [f"{name}-{i}" for i in range(TENANTS)]
    return [each for of in await asyncio.gather(*map(of_tenant, tenants)) for each in of]
