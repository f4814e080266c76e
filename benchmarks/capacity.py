"""The constants that `relevo plan` calculates with, and points that its simulation has to meet.

Each constant has its name in `measured.toml`: what a call costs a server and Redis; what it costs a
server to follow logs, to open and to keep streams, to pass a change on; and the memory of each. A
server is loaded in one way at a time, and a second one makes the writes that the first one follows.

The points are results of the same loads: calls a second, and delays. So constants and points are of
the same machine at the same time.

CPU is that of the process, in user mode and in the kernel.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from statistics import quantiles

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Consistency, SnapshotRequest
from support.clients.calls import Stub
from support.contexts import of_size
from support.servers.serving import stub_of

from benchmarks import followed, samples, servers, stored, watched
from benchmarks.calls import fill, path
from benchmarks.figures import Figure
from benchmarks.http2 import Http2Client, connected
from benchmarks.run import Run
from benchmarks.stored import Used, figure

IN_FLIGHT = 20
CONVERSATIONS = 4_000
"""Conversations of which a Snapshot is asked, each once."""
_OF_REDIS = {"get_strong": "redis_get", "put": "redis_put"}


@dataclass(frozen=True)
class _Taken:
    """The measurements of one turn of calls."""

    rate: float
    """Calls a second."""
    shares: Sequence[float]
    """The percentiles of their times, in seconds."""
    cpu: Sequence[float]
    """The CPU seconds for each call, of the server and of Redis."""


async def measure(run: Run) -> list[Figure]:
    """All constants that a bench can measure, and the points."""
    figures = await _calls(run)
    with (
        servers.relevo(run.redis, f"{run.prefix}-w", run.cores) as writing,
        servers.relevo(run.redis, f"{run.prefix}-w", run.cores) as server,
    ):
        figures += await followed.measure(run, writing.address, server)
        figures += await watched.measure(run, writing.address, server)
    return [*figures, *await stored.measure(run)]


async def _calls(run: Run) -> list[Figure]:
    figures: list[Figure] = []
    redis = servers.redis_cpu(run.redis_client)
    with servers.relevo(run.redis, run.prefix, run.cores) as server:
        await fill(server.address)
        async with stub_of(server.address) as stub, connected(server.address) as client:
            conversations = await _conversations(stub)
            cached = partial(samples.get_requests, consistency=Consistency.CONSISTENCY_CACHED)
            loads: Mapping[str, tuple[str, Iterator[bytes]]] = {
                "get_strong": ("Get", samples.get_requests()),
                "get_cached": ("Get", cached()),
                "put": ("Put", samples.put_requests()),
                "snapshot": ("Snapshot", conversations),
            }
            for name, (method, requests) in loads.items():
                turn = partial(_turn, run, client, path(method), requests, (server.cpu, redis))
                figures += await _figures(run, name, turn)
    return figures


async def _figures(run: Run, name: str, turn: Callable[[int], Awaitable[_Taken]]) -> list[Figure]:
    """The constants of a kind of call, and its points."""
    run.schedule.say(f"Capacity, {name}")
    # A Snapshot of a conversation is new only once.
    turns = 1 if name == "snapshot" else run.schedule.rounds
    taken = [await turn(IN_FLIGHT) for _ in range(turns)]
    figures = [figure(name, "µs", [each.cpu[0] * 1e6 for each in taken])]
    if name not in _OF_REDIS:
        return figures
    alone = [await turn(1) for _ in range(turns)]
    figures.append(figure(_OF_REDIS[name], "µs", [each.cpu[1] * 1e6 for each in taken]))
    for in_flight, some in ((IN_FLIGHT, taken), (1, alone)):
        point = f"{name}, {in_flight} in flight"
        figures.append(figure(f"{point}/rate", "calls/s", [each.rate for each in some]))
        for place, share in ((49, "p50"), (98, "p99")):
            figures.append(
                figure(f"{point}/{share}", "ms", [each.shares[place] * 1e3 for each in some])
            )
    return figures


async def _conversations(stub: Stub) -> Iterator[bytes]:
    """Snapshots of conversations of which there are none yet, in an endless cycle."""
    keys = [
        ContextKey(scope="conversation", tenant_id=f"tenant-{i % 8}", id=f"new-{i:06}")
        for i in range(CONVERSATIONS)
    ]
    await stored.put(stub, keys, of_size(2 << 10))
    return cycle([SnapshotRequest(key=key).SerializeToString() for key in keys])


async def _turn(
    run: Run,
    client: Http2Client,
    method: str,
    requests: Iterator[bytes],
    used: Sequence[Used],
    in_flight: int,
) -> _Taken:
    before = [each() for each in used]
    latencies, elapsed = await client.load(method, requests, in_flight, run.schedule.seconds)
    number = len(latencies)
    cpu = [(each() - first) / number for each, first in zip(used, before, strict=True)]
    return _Taken(number / elapsed, quantiles(latencies, n=100), cpu)
