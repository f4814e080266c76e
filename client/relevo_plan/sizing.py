"""The needs of a workload: workers, servers, Redis, connections, memory, bandwidth. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from relevo_plan.constants import Costs
from relevo_plan.demand import Demand, demand
from relevo_plan.workload import Workload

_FEWEST_SERVERS = 2
"""One may be restarted or lost at any time."""
_CALLS_PER_EVENT = 2
"""A worker that follows a log is told of an event (XREAD), and reads it (`tail`)."""


@dataclass(frozen=True)
class RedisNeeds:
    """The store's needs of Redis. Rates are a second."""

    nodes: int
    calls: float
    """Commands and scripts that servers send."""
    cpu: float
    """Cores, of all nodes."""
    memory: Mapping[str, float]
    """Bytes, by what they are used for."""
    connections: int
    """Connections of all servers."""

    @property
    def bytes(self) -> float:
        """All of the memory."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Sizing:
    """The needs of a workload at the utilisation that it allows."""

    workload: Workload
    demand: Demand
    workers: int
    """Processes of `relevo serve`, each on a core of its own."""
    servers: int
    """Machines, one of which may be lost."""
    is_possible: bool
    """Whether any number of workers suffices. If not, the logs alone keep each of them busy."""
    cpu: Mapping[str, float]
    """Cores that servers use, by what they are used for."""
    worker_share: float
    """The share of a core that each worker uses only to follow the logs."""
    redis: RedisNeeds
    streams_per_worker: float
    server_memory: float
    """Bytes of one server, with all of its workers."""
    near_cache_memory: float
    """Bytes of the near cache in a process that begins turns."""
    connections: int
    """Connections from clients to servers."""
    out_bytes: float
    """Bytes a second that a server sends."""
    told_within: float
    """Seconds from a change until the last of its holders has it, on an idle server."""
    log_reach: float
    """Seconds that the log of a partition reaches back."""


def size(workload: Workload, costs: Costs) -> Sizing:
    """The needs of a workload.

    Work for clients is divided among workers. Following the logs is not: each worker reads the
    events of all partitions, as each has watchers in all of them, and the value of each
    configuration that changes.
    """
    rates = demand(workload, costs)
    divided = _divided(rates, costs)
    events = rates.events * costs.poll + rates.changes * costs.read_value
    followed = events + costs.partitions * costs.follow
    room = workload.utilisation - followed
    is_possible = room > 0
    needed = max(1, ceil(sum(divided.values()) / room)) if is_possible else 0
    fewest = max(_FEWEST_SERVERS, ceil(needed / workload.cores) + 1) if is_possible else 0
    workers = max(fewest * min(workload.cores, max(needed, 1)), 1)
    servers = max(fewest, 1)
    per_worker = rates.streams / workers
    reached = min(rates.holders, workers)
    return Sizing(
        workload=workload,
        demand=rates,
        workers=workers,
        servers=servers,
        is_possible=is_possible,
        cpu={**divided, "following the logs": workers * followed},
        worker_share=followed,
        redis=_redis(workload, rates, costs, workers, reached),
        streams_per_worker=per_worker,
        server_memory=workers / servers * _worker_memory(per_worker, costs),
        near_cache_memory=rates.copy_bytes * costs.near_cache_factor,
        connections=rates.streams,
        out_bytes=_out_bytes(workload, rates, costs) / servers,
        told_within=ceil(rates.holders / workers) * costs.push,
        log_reach=costs.log_length * costs.partitions / rates.events,
    )


def _divided(rates: Demand, costs: Costs) -> dict[str, float]:
    """The cores that all workers together need for clients."""
    return {
        "signs of life": rates.streams * costs.idle_stream,
        "changes to watchers": rates.pushes * costs.push,
        "new subscriptions": rates.subscriptions * costs.answer,
        "Gets": rates.reads * costs.get_strong,
        "Snapshots": rates.snapshots * costs.snapshot,
        "Puts and Leases": rates.puts * costs.put,
    }


def _redis(
    workload: Workload, rates: Demand, costs: Costs, workers: int, reached: float
) -> RedisNeeds:
    """The work of Redis. `reached` is the number of workers that read the value of a change."""
    values = rates.changes * reached
    reads = rates.reads + rates.snapshots + rates.subscriptions + values
    writes = rates.puts + rates.snapshots
    followed = costs.partitions * costs.redis_follow
    waits = costs.partitions * costs.follow_calls
    cpu = (
        reads * costs.redis_get
        + writes * costs.redis_put
        + workers * (rates.events * costs.redis_poll + followed)
    )
    entry = workload.entry_bytes + costs.entry_overhead
    snapshots = rates.new_states * workload.snapshot_ttl
    memory = {
        "conversations": rates.stored * entry,
        "configurations": workload.configurations * entry,
        "snapshots": snapshots * (workload.composed_bytes + costs.entry_overhead),
        "logs": costs.log_length * costs.partitions * costs.log_event,
        "records of requests": writes * costs.request_id_ttl * costs.request_record,
    }
    per_worker = costs.log_connections + costs.pool_connections
    nodes = max(
        1,
        ceil(cpu / workload.utilisation),
        ceil(sum(memory.values()) / workload.redis_bytes),
    )
    return RedisNeeds(
        nodes=nodes,
        calls=reads + writes + workers * (_CALLS_PER_EVENT * rates.events + waits),
        cpu=cpu,
        memory=memory,
        connections=ceil(workers * per_worker),
    )


def _worker_memory(streams: float, costs: Costs) -> float:
    per_stream = costs.connection_memory + costs.stream_memory
    return costs.server_memory + costs.server_caches + streams * per_stream


def _out_bytes(workload: Workload, rates: Demand, costs: Costs) -> float:
    """The bytes a second that all servers send to clients."""
    size = workload.entry_bytes + costs.push_bytes
    composed = workload.composed_bytes + costs.push_bytes
    return (
        rates.pushes * size
        + rates.streams * costs.sign_bytes
        + rates.subscriptions * size
        + (rates.reads + rates.snapshots) * composed
    )
