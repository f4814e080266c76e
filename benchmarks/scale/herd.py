"""A herd: all streams lose their server at once (SIGKILL), and come to another one.

Each stream has a connection of its own. Its client tries the second server as soon as the first
refuses it, with the pauses and the jitter of the near cache.

- `current` is the time from the kill until every stream's copy can be used again.
- `meanwhile` is the 99th percentile of another client's Gets at the second server until then, which
  come one at a time; `quiet` is the same before, and `failed` is how many had no answer. The load
  generator runs only while nobody else needs its core (SCHED_IDLE): the herd would come from other
  machines.
- `CPU` is what the second server used for each stream until then.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from statistics import quantiles
from typing import Any

from benchmarks import samples
from benchmarks.calls import path
from benchmarks.figures import Goal
from benchmarks.http2 import connected
from benchmarks.scale import usage
from benchmarks.scale.generator import generator
from benchmarks.scale.idle import KEYS
from benchmarks.scale.rows import Cell, Row
from benchmarks.scale.scene import Scene, fill, grow, keys_of

_QUIET = 3.0
_WITHIN = 60.0
_PAUSE = 0.004
_FEWEST = 100
_CURRENT, _TIMES_AS_LONG = 15.0, 5.0


async def measure(scene: Scene) -> AsyncGenerator[Row, None]:
    """One row, at the largest number of streams."""
    size = scene.most
    keys = keys_of(KEYS, KEYS)
    store = scene.new_store()
    with scene.server(*store) as first, scene.server(*store) as second:
        async with generator(is_last=True) as load:
            await fill(load, second.address, [*keys, *samples.entry_keys()])
            gets = samples.get_requests()
            scene.say("herd, quiet")
            pause = asyncio.ensure_future(asyncio.sleep(_QUIET * scene.part))
            quiet, _ = await _gets(second.address, gets, pause)
            addresses = [first.address, second.address]
            has_settled = await grow(scene, load, "herd", addresses, keys, size, size)
            await load.window()
            cpu, killed = usage.cpu_seconds(second.process.pid), time.monotonic()
            first.process.kill()
            first.wait()
            settling = asyncio.ensure_future(scene.settle(load, "herd", within=_WITHIN, lost=size))
            busy, failed = await _gets(second.address, gets, settling)
            current = time.monotonic() - killed
            cpu = usage.cpu_seconds(second.process.pid) - cpu
            window = await load.window()
            notes = [] if has_settled else ["not all streams became current before"]
            if await settling is None:
                notes.append(f"not all streams were current again within {_WITHIN:g} s")
            yield Row(
                "Herd",
                f"{size:,} streams change their server",
                {
                    "current": Cell(current, "s", Goal("current", at_most=_CURRENT)),
                    "meanwhile": Cell(busy, "ms"),
                    "quiet": Cell(quiet, "ms"),
                    "ratio": Cell(busy / quiet, "", Goal("ratio", at_most=_TIMES_AS_LONG)),
                    "failed": Cell(failed, "", Goal("failed", at_most=0)),
                    "CPU": Cell(cpu / size * 1e6, "µs"),
                    "ended": Cell(window["ended"]),
                    "silent": Cell(window["silent"]),
                },
                notes,
            )


async def _gets(
    address: str, requests: Iterator[bytes], meanwhile: "asyncio.Future[Any]"
) -> tuple[float, int]:
    """Get one entry after another until `meanwhile` is done.

    Returns the 99th percentile in milliseconds, and how many have failed: those count with the
    time until they did.
    """
    latencies: list[float] = []
    failed = 0
    while not meanwhile.done() or len(latencies) < _FEWEST:
        async with connected(address) as client:
            begun = time.monotonic()
            try:
                while not meanwhile.done() or len(latencies) < _FEWEST:
                    begun = time.monotonic()
                    await client.load(path("Get"), requests, 1, 0)
                    latencies.append(time.monotonic() - begun)
                    await asyncio.sleep(_PAUSE)
            except ConnectionError:
                latencies.append(time.monotonic() - begun)
                failed += 1
    return quantiles(latencies, n=100, method="inclusive")[98] * 1e3, failed
