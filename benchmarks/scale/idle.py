"""Idle Watch streams: their CPU and memory in a server, and whether copies stay current.

Streams are opened on one server until there are as many as the row says: each on a connection of
its own, as processes have it, or many on few connections, which shows what a stream costs without
its connection. Each stream watches one of a hundred keys of a hundred tenants.

- `CPU` is per stream and second, without what the server uses if it has no stream; `of a core` is
  all that it uses, and `generator` what the load generator does.
- `memory` is per stream, RSS, beyond that of the server without streams.
- `usable` is the share of copies that a call could use, in samples of all of them. If it is too
  small, the server is overloaded.
- `age` is the greatest age of such a copy: the time since the ping that proves it was sent. A copy
  older than 2 s is not used.
- `outdated` is the longest time for which a real near cache beside the streams still served a value
  after the Put of a newer one had been acknowledged.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from math import ceil

from benchmarks.figures import Goal
from benchmarks.scale import usage
from benchmarks.scale.generator import Generator, generator
from benchmarks.scale.rows import Cell, Row
from benchmarks.scale.scene import STREAMS_OF_A_CONNECTION, Scene, fill, grow, keys_of
from benchmarks.workers import Worker, workers

KEYS = 100
_BASE, _WINDOW = 3.0, 6.0
_OUTDATED = 4.0
_MOST_CPU, _MOST_MEMORY, _LONGEST = 50.0, 40.0, 2.0
_LEAST_USABLE = 99.0
_USABLE = Goal("usable", at_least=_LEAST_USABLE)


async def measure(scene: Scene) -> AsyncGenerator[Row, None]:
    """The rows of both kinds of connections."""
    for kind in ("own connections", "few connections"):
        with scene.server() as server:
            async with generator() as load, workers("benchmarks.scale.cache", 1) as (cache,):
                keys = keys_of(KEYS, KEYS)
                await fill(load, server.address, keys)
                await cache.call("open", server.address)
                pid = server.process.pid
                scene.say(f"idle, {kind}, no stream")
                base = await _cpu(pid, _BASE * scene.part)
                memory = usage.resident_bytes(pid)
                for size in scene.sizes:
                    is_own = kind.startswith("own")
                    connections = size if is_own else ceil(size / STREAMS_OF_A_CONNECTION)
                    what = f"idle, {kind}, {size:,} streams"
                    has_settled = await grow(
                        scene, load, what, [server.address], keys, size, connections
                    )
                    row = await _row(scene, what, load, cache, pid, size, base, memory)
                    yield Row(
                        "Idle",
                        f"{size:,} streams, {kind}",
                        row,
                        () if has_settled else ("not all streams became current",),
                    )


async def _row(
    scene: Scene,
    what: str,
    load: Generator,
    cache: Worker,
    pid: int,
    size: int,
    base: float,
    memory: int,
) -> dict[str, Cell]:
    scene.say(what)
    await load.window()
    cpu, own = await asyncio.gather(*(_cpu(each, _WINDOW * scene.part) for each in (pid, load.pid)))
    window = await load.window()
    grown = usage.resident_bytes(pid) - memory
    scene.say(f"{what}: a real near cache")
    outdated: float = await cache.call("outdated", _OUTDATED * scene.part)
    per_stream = (cpu - base) / size * 1e6
    usable = 100 * (1 - window["unusable"] / (window["samples"] or 1))
    if usable < _LEAST_USABLE:
        # The rest says nothing of streams that work.
        return {"of a core": Cell(cpu * 100, "%"), "usable": Cell(usable, "%", _USABLE)}
    return {
        "CPU": Cell(per_stream, "µs", Goal("cpu", at_most=_MOST_CPU)),
        "of a core": Cell(cpu * 100, "%"),
        "generator": Cell(own * 100, "%"),
        "memory": Cell(grown / size / 1e3, "kB", Goal("memory", at_most=_MOST_MEMORY)),
        "usable": Cell(usable, "%", _USABLE),
        "age": Cell(window["max_age"], "s", Goal("age", at_most=_LONGEST)),
        "outdated": Cell(outdated, "s", Goal("outdated", at_most=_LONGEST)),
        "ended": Cell(window["ended"]),
    }


async def _cpu(pid: int, seconds: float) -> float:
    """The CPU that a process uses, in seconds for each second."""
    before, begun = usage.cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (usage.cpu_seconds(pid) - before) / (time.monotonic() - begun)
