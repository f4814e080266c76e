"""A soak: 2,000 streams whose connections come and go, while their keys are put.

Memory, file descriptors and threads of the server have to stay flat: the last fifth of the time is
compared with the second one (tests/support/flat.py). `make soak` does the same with whole clients.
A Put that fails is counted, and ends nothing: an hour would be lost with it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import psutil
from support.flat import Gauge, Memory

from benchmarks.calls import path
from benchmarks.figures import Goal
from benchmarks.scale.generator import REQUEST_ID, Generator, Target, generator
from benchmarks.scale.rows import Cell, Row
from benchmarks.scale.scene import Scene, fill, grow, keys_of, puts

STREAMS = 2000
_KEYS = 500
_CHURN = 10.0
"""Connections that are cut a second."""
_WRITES = 50.0
"""Puts a second. Four streams hear of each."""
_TURN = 10.0
"""Seconds of writes between two looks at the streams."""


async def measure(scene: Scene) -> AsyncGenerator[Row, None]:
    """One row."""
    size = min(STREAMS, scene.most)
    keys = keys_of(min(_KEYS, size), 50)
    with scene.server("--log-length", "1000", "--request-id-ttl", "10") as server:
        async with generator() as load:
            await fill(load, server.address, keys)
            await grow(scene, load, "soak", [server.address], keys, size, size)
            await load.window()
            process = psutil.Process(server.process.pid)
            gauges = Memory("memory"), Gauge("files"), Gauge("threads")
            target = Target(server.address, path("Put"), REQUEST_ID)
            await load.churn(rate=_CHURN, seconds=scene.soak)
            end = time.monotonic() + scene.soak
            writing = asyncio.create_task(_write(load, target, puts(keys), end))
            while not writing.done():
                scene.say(f"soak, {end - time.monotonic():.0f} s to go")
                values = process.memory_info().rss, process.num_fds(), process.num_threads()
                for gauge, value in zip(gauges, values, strict=True):
                    gauge.samples.append(value)
                await asyncio.sleep(max(0.1, scene.soak / 1000))
            untold, failed = await writing
            has_settled = await scene.settle(load, "soak", within=15) is not None
            window = await load.window()
            yield Row(
                "Soak",
                f"{size:,} streams, {scene.soak:,.0f} s",
                {
                    **{gauge.name: _flat(gauge) for gauge in gauges},
                    "events": Cell(window["events"]),
                    "cut": Cell(window["ended"]),
                    "resets": Cell(window["resets"], "", Goal("resets", at_most=0)),
                    "untold": Cell(untold, "", Goal("untold", at_most=0)),
                    "failed": Cell(failed, "", Goal("failed", at_most=0)),
                },
                () if has_settled else ("not all streams became current again",),
            )


async def _write(
    load: Generator, target: Target, requests: list[bytes], end: float
) -> tuple[int, int]:
    """Write until the end. Returns how often a watcher did not hear of a write, and failed Puts."""
    untold = failed = 0
    while (left := end - time.monotonic()) > 0:
        written: Any = await load.write(
            target, requests, rate=_WRITES, seconds=min(_TURN, max(1.0, left))
        )
        failed += written["failed"]
        untold += written["told"]["untold"]
    return untold, failed


def _flat(gauge: Gauge) -> Cell:
    """The growth of a gauge, whose goal is what counts as flat."""
    growth = gauge.after - gauge.before
    limit = gauge.limit(gauge.before) - gauge.before
    if isinstance(gauge, Memory):
        return Cell(growth / 1e6, "MB more", Goal(gauge.name, at_most=limit / 1e6))
    return Cell(growth, "more", Goal(gauge.name, at_most=limit))
