"""The rates that a workload causes: calls, subscriptions, events and messages a second. Pure."""

from dataclasses import dataclass
from math import exp

from relevo_plan.constants import Costs
from relevo_plan.workload import Workload

_RENEWED_AFTER = 0.8
"""The share of its time to live after which a configuration is put anew: loaders renew in the last
fifth."""


@dataclass(frozen=True)
class Demand:
    """The calls, events and bytes of a workload, each a second unless it says something else."""

    reads: float
    """STRONG Gets: snapshots of turns that came without a rider, and live contexts."""
    snapshots: float
    """Snapshot calls: turns that begin in a process that does not know the conversation."""
    puts: float
    """Puts and Leases, of conversations, snapshots and configurations."""
    events: float
    """Entries that all logs together get: conversations, new snapshots, changes. Every worker reads
    them all."""
    subscriptions: float
    """Keys that near caches begin to watch."""
    changes: float
    """Writes of configurations, with those that only renew their time to live."""
    holders: float
    """Processes that hold a configuration, on average. A number, not a rate."""
    pushes: float
    """Messages to near caches about changes."""
    streams: int
    """Watch streams. A number, not a rate."""
    new_states: float
    """Snapshots that did not exist before."""
    copies: float
    """Entries that the near cache of a process that begins turns has to hold: conversations, their
    present snapshots, and configurations. A number, not a rate."""
    copy_bytes: float
    """Their serialized size."""
    stored: float
    """Conversations whose entry is alive: those that go on, and those that have just ended. A
    number, not a rate."""
    ride_bytes: float
    """Bytes of riders in all calls between services."""
    rides: bool
    """Whether snapshots are small enough to travel."""


def demand(workload: Workload, costs: Costs) -> Demand:
    """The rates of a workload.

    A turn begins without the store in a process that knows the conversation; a new state of its
    context costs one Put in the background. The other services get the state as a rider.
    """
    turns, services = workload.turns_per_second, workload.services
    reached = _processes_reached(workload)
    first = min(reached / workload.turns_per_conversation, 1.0)
    begun = turns / workload.turns_per_conversation
    renewed = workload.configurations / (_RENEWED_AFTER * workload.configuration_ttl)
    changes = workload.changes_per_second + renewed
    changed = _changed_between_turns(workload, changes)
    state = min(changed + min(workload.puts_per_turn, 1.0), 1.0)
    size = workload.composed_bytes
    rides = workload.has_riders and size * costs.compression <= costs.rider_bytes
    others = services - workload.resolvers
    met = min(first + state, 1.0)
    holders = _holders(workload)
    new_states = begun + turns * state
    own_puts = turns * workload.puts_per_turn
    per_process = workload.conversations * reached / workload.processes_per_service
    layers = min(float(workload.configurations), per_process * workload.layers)
    return Demand(
        reads=turns * ((workload.resolvers - 1) * first + (0 if rides else others * met)),
        snapshots=turns * first + begun,
        puts=2 * begun + turns * (1 - first) * state + own_puts + changes,
        events=begun + new_states + own_puts + changes,
        subscriptions=turns * (first + met) + turns * others * met,
        changes=changes,
        holders=holders,
        pushes=changes * holders + own_puts * (reached - 1),
        streams=workload.processes,
        new_states=new_states,
        copies=2 * per_process + layers,
        copy_bytes=workload.entry_bytes * (per_process + layers) + size * per_process,
        stored=workload.conversations + begun * costs.conversation_ttl,
        ride_bytes=turns * (services - 1) * size * costs.compression if rides else 0.0,
        rides=rides,
    )


def _processes_reached(workload: Workload) -> float:
    """The processes in which a conversation's turns begin, on average, over its life."""
    processes = workload.processes_per_service
    if workload.is_sticky:
        return 1.0
    return max(1.0, processes * _met(processes, workload.turns_per_conversation))


def _changed_between_turns(workload: Workload, changes: float) -> float:
    """The share of turns whose context is another one than in the conversation's last turn.

    A configuration that is only renewed has a new version, so the snapshot has another name.
    """
    if not workload.turns_per_second:
        return 0.0
    between = workload.conversations / workload.turns_per_second
    return 1 - exp(-changes * workload.layers / workload.configurations * between)


def _holders(workload: Workload) -> float:
    """The processes that have a configuration in their near cache, on average.

    A copy stays for its time to live at least. In that time a process has used configurations
    that many times, each of them with the same probability.
    """
    processes = workload.resolvers * workload.processes_per_service
    turns = workload.turns_per_second / workload.processes_per_service
    uses = turns * workload.configuration_ttl * workload.layers
    return processes * _met(workload.configurations, uses)


def _met(number: int, times: float) -> float:
    """The share of so many things that is met in so many times, each of which meets any of them."""
    missed: float = (1 - 1 / number) ** times
    return 1 - missed
