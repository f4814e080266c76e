"""The memory in Redis of an entry beyond its context, of an event, and of a request's record.

And what the benches of capacity share: how they put entries, measure CPU, and name figures.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

from relevo.v1.context_pb2 import ContextKey, ExecutionContext
from relevo.v1.store_pb2 import PutRequest
from support.clients.calls import Stub
from support.contexts import of_size
from support.servers.serving import stub_of

from benchmarks import servers
from benchmarks.figures import Figure, spread
from benchmarks.run import Run

Used = Callable[[], float]
"""Returns the CPU seconds that a process has used so far."""

_SIZES = (1, 2, 12)
"""KiB of the contexts."""
_ENTRIES = 200
_AT_A_TIME = 20


async def measure(run: Run) -> list[Figure]:
    """The bytes of each."""
    run.schedule.say("Capacity, memory of Redis")
    prefix, redis = f"{run.prefix}-m", run.redis_client
    figures: list[Figure] = []
    with servers.relevo(run.redis, prefix, run.cores, "--partitions", "1") as server:
        async with stub_of(server.address) as stub:
            for kibibytes in _SIZES:
                keys = [
                    ContextKey(scope="conversation", tenant_id="acme", id=f"{kibibytes}-{i:06}")
                    for i in range(_ENTRIES)
                ]
                await put(stub, keys, of_size(kibibytes << 10))
                named = [name for name in redis.names(prefix) if f"acme:{kibibytes}-" in name]
                entries = [each for each in named if ":entry:" in each]
                more = _bytes(run, entries) - (kibibytes << 10)
                figures.append(figure(f"entry_overhead of {kibibytes} KiB", "B", [more]))
            names = redis.names(prefix)
            records = [each for each in names if ":request:" in each]
            (log,) = [each for each in names if each.endswith(":log")]
            event = _bytes(run, [log]) / float(redis("XLEN", log))
            record = _bytes(run, records)
    return [*figures, figure("request_record", "B", [record]), figure("log_event", "B", [event])]


def _bytes(run: Run, names: Sequence[str]) -> float:
    """The median of the bytes that these keys take in Redis."""
    return median(float(run.redis_client("MEMORY", "USAGE", each, "SAMPLES", 0)) for each in names)


async def put(stub: Stub, keys: Sequence[ContextKey], context: ExecutionContext) -> None:
    """Put a context under all keys, with a request_id as clients send it."""
    for first in range(0, len(keys), _AT_A_TIME):
        puts = [
            PutRequest(key=key, context=context, request_id=f"{key.id}-of-a-client-{first:08}")
            for key in keys[first : first + _AT_A_TIME]
        ]
        await asyncio.gather(*map(stub.Put, puts))


async def during(waiting: Awaitable[object], used: Sequence[Used]) -> list[float]:
    """The CPU seconds that each of them uses while something goes on."""
    before = [each() for each in used]
    await waiting
    return [each() - first for each, first in zip(used, before, strict=True)]


def figure(name: str, unit: str, values: Sequence[float]) -> Figure:
    """A constant or a point of plans: the median of these values."""
    return Figure(f"Capacity/{name}", median(values), unit, spread(values))
