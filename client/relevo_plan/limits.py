"""The limits that more servers do not lift: how near a plan is to each, and what to turn. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relevo_plan.constants import Costs
from relevo_plan.sizing import Sizing

TOLD_WITHIN = 1.0
"""Seconds after which the last watcher should have a change."""
LOG_REACH = 300.0
"""Seconds that logs should reach back: a client that was away for longer reads everything anew."""
DESCRIPTORS = 65_536
"""Descriptors of a server, a usual limit (`LimitNOFILE`). Each connection takes one."""
REDIS_CLIENTS = 10_000
"""The connections that Redis accepts by default (`maxclients`)."""


@dataclass(frozen=True)
class Limit:
    """A number that cannot grow for ever."""

    name: str
    used: float
    limit: float
    unit: str
    """`s`, `B`, `B/s`, `core`, or "" for a number."""
    turn: str
    """The remedy if it is reached."""

    @property
    def share(self) -> float:
        """The used share of the limit: 1 is all of it."""
        return self.used / self.limit


def limits(sizing: Sizing, costs: Costs) -> Sequence[Limit]:
    """All limits, the one that comes first at the top."""
    found = [make(sizing, costs) for make in _LIMITS]
    return sorted(found, key=lambda each: each.share, reverse=True)


def _following(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "each worker's core, to follow the logs",
        sizing.worker_share,
        sizing.workload.utilisation,
        "core",
        "every worker reads every event: fewer writes (configuration_ttl, puts_per_turn), then "
        "several stores, each with a part of the tenants",
    )


def _redis_cpu(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "the core of one Redis",
        sizing.redis.cpu,
        sizing.workload.utilisation,
        "core",
        "redis+cluster:// spreads the partitions over nodes; fewer, larger workers follow less",
    )


def _redis_memory(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "the memory of one Redis",
        sizing.redis.bytes,
        float(sizing.workload.redis_bytes),
        "B",
        "redis+cluster://; a smaller log_length; shorter times to live of snapshots",
    )


def _redis_clients(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "connections to one Redis",
        float(sizing.redis.connections),
        float(REDIS_CLIENTS),
        "",
        "maxclients of Redis; a smaller store_connections",
    )


def _told(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "time until the last holder is told",
        sizing.told_within,
        TOLD_WITHIN,
        "s",
        "more workers; let only the first service ask for live contexts, and give the others "
        "snapshots (`turn`)",
    )


def _log(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "time that the logs must reach back",
        LOG_REACH,
        sizing.log_reach,
        "s",
        "a larger log_length (memory of Redis), fewer writes",
    )


def _copies(sizing: Sizing, costs: Costs) -> Limit:
    return Limit(
        "entries in a near cache",
        sizing.demand.copies,
        costs.cache_max_entries,
        "",
        "CacheOptions.max_entries; sticky conversations; more processes",
    )


def _copy_bytes(sizing: Sizing, costs: Costs) -> Limit:
    return Limit(
        "bytes in a near cache",
        sizing.demand.copy_bytes,
        costs.cache_max_bytes,
        "B",
        "CacheOptions.max_bytes; sticky conversations; smaller contexts",
    )


def _descriptors(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "connections of one server",
        sizing.connections / sizing.servers,
        float(DESCRIPTORS),
        "",
        "LimitNOFILE of the server; one channel for each process",
    )


def _link(sizing: Sizing, costs: Costs) -> Limit:
    del costs
    return Limit(
        "network of one server",
        sizing.out_bytes,
        sizing.workload.link_bits / 8,
        "B/s",
        "a smaller watch_push_bytes: large values are then read on demand; more servers",
    )


_LIMITS: Sequence[Callable[[Sizing, Costs], Limit]] = (
    _following,
    _redis_cpu,
    _redis_memory,
    _redis_clients,
    _told,
    _log,
    _copies,
    _copy_bytes,
    _descriptors,
    _link,
)

TURNS = {
    "signs of life": "a longer max_staleness; one client and one near cache for each process",
    "changes to watchers": "snapshots for all services but the first (`turn`); fewer holders",
    "new subscriptions": "sticky conversations; larger near caches",
    "Gets": "riders: contexts of at most 4 KiB compressed; near caches in all services",
    "Snapshots": "sticky conversations: their next turn finds the copy",
    "Puts and Leases": "fewer writes in a turn; longer times to live of configurations",
    "following the logs": "fewer workers with more to do each; fewer writes",
}
"""The remedies, by the work on which servers spend most of their time."""
