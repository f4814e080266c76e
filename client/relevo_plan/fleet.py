"""A plan's fleet, played on the model: the delays that its users see, and the loss of a server."""

from dataclasses import dataclass
from math import ceil

from relevo_plan.constants import Costs
from relevo_plan.simulation.questions import Load, Outcome, Recovery, lose, play
from relevo_plan.sizing import Sizing

_STEPS = 600_000
"""Steps of the model that a play may take, approximately: a few seconds of a computer."""
_LONGEST, _SHORTEST = 5.0, 0.5
_STEPS_PER_CALL = 4


@dataclass(frozen=True)
class Simulated:
    """The model's results for a plan."""

    load: Outcome
    loss: Recovery
    """One server with all of its workers is lost."""


def simulated(sizing: Sizing, costs: Costs, seed: int = 1) -> Simulated:
    """Play the load of a plan, and the loss of one of its servers."""
    load = load_of(sizing)
    calls = load.gets + load.snapshots + load.puts + load.changes
    steps = _STEPS_PER_CALL * (calls + sizing.workers * (load.puts + load.changes))
    seconds = min(_LONGEST, max(_SHORTEST, _STEPS / max(steps, 1.0)))
    streams = ceil(sizing.connections / sizing.servers)
    workers = sizing.workers - sizing.workers // sizing.servers
    loss = lose(
        costs,
        streams=streams,
        entries=max(1, round(min(sizing.demand.copies, costs.cache_max_entries))),
        workers=workers,
        gets=max(load.gets, float(workers)),
        idle_streams=sizing.connections - streams,
        nodes=sizing.redis.nodes,
        seed=seed,
    )
    return Simulated(play(costs, load, seconds, seed), loss)


def load_of(sizing: Sizing) -> Load:
    """The load of a plan's servers."""
    rates = sizing.demand
    return Load(
        workers=sizing.workers,
        nodes=sizing.redis.nodes,
        streams=rates.streams,
        gets=rates.reads,
        snapshots=rates.snapshots,
        puts=rates.events - rates.changes,
        changes=rates.changes,
        holders=round(rates.holders),
    )
