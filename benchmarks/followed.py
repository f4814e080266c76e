"""The costs of following logs, and of reading events without a watcher, for server and Redis.

Some events come slowly, so that each is read alone; the others as fast as they are written.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import PutRequest, Subscribe, WatchRequest, WatchResponse
from support.clients.calls import Stub
from support.contexts import of_size
from support.servers.serving import stub_of

from benchmarks import servers
from benchmarks.figures import Figure
from benchmarks.run import Run
from benchmarks.stored import Used, during, figure

EVENTS = 600
_A_SECOND = 200
_AT_ONCE = 20
_IDLE = 4.0
"""Seconds for which a server is looked at in which nothing happens."""
_KEYS = 400
"""Tenants whose keys are watched: they have all of the partitions."""


async def measure(run: Run, writer: str, server: servers.Server) -> list[Figure]:
    """The CPU for a followed partition, and for an event, of the server and of Redis."""
    run.schedule.say("Capacity, following")
    used = server.cpu, servers.redis_cpu(run.redis_client)
    idle = await during(asyncio.sleep(_IDLE), used)
    put = PutRequest(key=ContextKey(scope="conversation", tenant_id="t-0", id="other"))
    put.context.CopyFrom(of_size(2 << 10))
    async with stub_of(server.address) as stub, stub_of(writer) as to_writer:
        watch = stub.Watch()
        for number in range(1, _KEYS + 1):
            key = ContextKey(scope="conversation", tenant_id=f"t-{number}", id="c")
            await watch.write(WatchRequest(subscribe=Subscribe(number=number, key=key)))
        partitions = await _answered(watch, _KEYS)
        waiting = await during(asyncio.sleep(_IDLE), used)
        slow, fast = await _events(to_writer, put, used)
        watch.cancel()
        await asyncio.sleep(_IDLE / 2)
        # The same Puts again, and nobody follows: the difference is the cost of the events.
        slow_alone, fast_alone = await _events(to_writer, put, used)
    figures: list[Figure] = []
    for i, prefix in enumerate(("", "redis_")):
        following = (waiting[i] - idle[i]) / _IDLE
        apart = slow[i] - slow_alone[i] - following * EVENTS / _A_SECOND
        figures += [
            figure(f"{prefix}follow", "µs/s", [following / partitions * 1e6]),
            figure(f"{prefix}poll", "µs", [apart / EVENTS * 1e6]),
            figure(f"{prefix}event", "µs", [(fast[i] - fast_alone[i]) / EVENTS * 1e6]),
        ]
    return figures


async def _answered(watch: Any, number: int) -> int:
    """Read a stream until so many keys are answered. Returns the number of their partitions."""
    partitions: set[int] = set()
    answered = 0
    async for response in watch:
        for each in _messages(response):
            answered += each.answers > 0
            found = (*each.positions, *each.progress.positions)
            partitions.update(position.partition for position in found)
        if answered >= number:
            break
    return len(partitions)


def _messages(response: WatchResponse) -> Sequence[WatchResponse]:
    return response.batch.messages if response.HasField("batch") else [response]


async def _events(
    stub: Stub, put: PutRequest, used: Sequence[Used]
) -> tuple[list[float], list[float]]:
    """The CPU seconds during Puts with pauses in between, and during as many at once."""

    async def slowly() -> None:
        begun = time.monotonic()
        for i in range(EVENTS):
            await asyncio.sleep(max(0.0, begun + i / _A_SECOND - time.monotonic()))
            await stub.Put(put)

    async def at_once() -> None:
        for _ in range(EVENTS // _AT_ONCE):
            await asyncio.gather(*(stub.Put(put) for _ in range(_AT_ONCE)))

    return await during(slowly(), used), await during(at_once(), used)
