"""The costs of near caches for a server: their streams, signs of life, changes and answers."""

import asyncio
import time
from collections.abc import Sequence
from statistics import quantiles

import psutil
from relevo.v1.context_pb2 import ContextKey, ExecutionContext
from relevo.v1.store_pb2 import PutRequest, Subscribe, WatchRequest
from relevo_client import ContextKey as Name
from support.clients.calls import Stub
from support.contexts import of_size
from support.servers.serving import stub_of

from benchmarks import samples, servers, stored
from benchmarks.figures import Figure
from benchmarks.run import Run
from benchmarks.stored import during, figure
from benchmarks.workers import Worker, call_all, workers

SIZES = (10, 100, 300)
"""Near caches of one key, each with a connection of its own."""
_PROCESSES = 2
CHANGES = 50
_WARMING = 5
STREAMS = 1_000
"""Streams on one connection."""
ENTRIES = 2_000
"""Entries that one near cache subscribes to."""
_IDLE = 4.0
_PAUSE = 0.01


async def measure(run: Run, writer: str, server: servers.Server) -> list[Figure]:
    """The CPU and the memory of a server for near caches and streams, and the delays of changes."""
    async with stub_of(writer) as stub:
        figures = await _streams(run, server)
        for size in SIZES:
            figures += await _caches(run, stub, server, size)
        return [*figures, *await _entries(run, stub, server)]


async def _caches(run: Run, writer: Stub, server: servers.Server, size: int) -> list[Figure]:
    run.schedule.say(f"Capacity, {size} caches")
    key = Name("conversation", "t-0", "hot")
    put = PutRequest(key=key.to_message(), context=samples.context())
    await writer.Put(put)
    delays: list[float] = []
    async with workers("benchmarks.subscriber", _PROCESSES) as subscribers:
        used, memory = (server.cpu,), _memory(server)
        arguments = size // _PROCESSES, server.address, key.text
        (opening,) = await during(call_all(subscribers, "caches", *arguments), used)
        memory = _memory(server) - memory
        (idle,) = await during(asyncio.sleep(_IDLE), used)
        for _ in range(_WARMING):
            await _told(writer, put, subscribers)
        begun, before = time.monotonic(), server.cpu()
        for _ in range(CHANGES):
            delays += await _told(writer, put, subscribers)
        seconds = time.monotonic() - begun
        pushed = server.cpu() - before - idle / _IDLE * seconds
    shares = quantiles(delays, n=100)
    figures = [
        figure(f"a change to {size} caches/p50", "ms", [shares[49] * 1e3]),
        figure(f"a change to {size} caches/p99", "ms", [shares[98] * 1e3]),
        figure(f"push, {size} caches", "µs", [pushed / size / CHANGES * 1e6]),
    ]
    if size == SIZES[-1]:
        figures += [
            figure("open_stream", "µs", [opening / size * 1e6]),
            figure("idle_stream", "µs/s", [idle / size / _IDLE * 1e6]),
            figure("connection_memory, with a stream", "B", [memory / size]),
        ]
    return figures


async def _told(stub: Stub, put: PutRequest, subscribers: Sequence[Worker]) -> list[float]:
    """The seconds from the answer of a Put until each cache has the change."""
    waiting = asyncio.gather(*(subscriber.call("next") for subscriber in subscribers))
    await asyncio.sleep(_PAUSE)  # by then all of them wait, and nothing else is in flight
    await stub.Put(put)
    answered = time.monotonic_ns()
    return [max(0, at - answered) / 1e9 for _, times in await waiting for at in times]


async def _streams(run: Run, server: servers.Server) -> list[Figure]:
    """The memory of streams on one connection."""
    run.schedule.say(f"Capacity, {STREAMS} streams")
    key = ContextKey(scope="conversation", tenant_id="t-0", id="hot")
    memory = _memory(server)
    async with stub_of(server.address) as stub:
        opened = [stub.Watch() for _ in range(STREAMS)]
        for each in opened:
            await each.write(WatchRequest(subscribe=Subscribe(number=1, key=key)))
        for each in opened:
            await each.read()
        memory = _memory(server) - memory
        for each in opened:
            each.cancel()
    return [figure("stream_memory", "B", [memory / STREAMS])]


async def _entries(run: Run, stub: Stub, server: servers.Server) -> list[Figure]:
    """A near cache that subscribes to many entries: the CPU of both sides, and the time."""
    run.schedule.say(f"Capacity, {ENTRIES} entries")
    mark = "first"
    context = ExecutionContext(user_id=mark)
    context.MergeFrom(of_size(2 << 10))
    names = [Name("conversation", f"t-{i % 8}", f"entry-{i:06}") for i in range(ENTRIES)]
    await stored.put(stub, [name.to_message() for name in names], context)
    async with workers("benchmarks.refiller", 1) as (cache,):
        await cache.call("open", server.address, [name.text for name in names])
        own, before = await cache.call("cpu"), server.cpu()
        seconds, _ = await cache.call("learn", mark)
        answers, own = server.cpu() - before, await cache.call("cpu") - own
    return [
        figure("answer", "µs", [answers / ENTRIES * 1e6]),
        figure("cache_entry", "µs", [own / ENTRIES * 1e6]),
        figure(f"a near cache subscribes to {ENTRIES:,} entries/seconds", "s", [seconds]),
    ]


def _memory(server: servers.Server) -> int:
    memory: int = psutil.Process(server.pid).memory_info().rss
    return memory
