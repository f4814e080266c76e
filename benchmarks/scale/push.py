"""A hot key: what a change costs the server for each watcher, and when the watchers hear of it.

All streams, each on a connection of its own, watch one key of 2 KB. The key is put again and again,
and so is, in turns of the same length, a key of the same tenant that nobody watches: the difference
is what the server does for the watchers.

- `CPU` is per stream and change.
- Times are in milliseconds from the sending of a Put, over all watchers and changes; `all` is the
  median of the changes' last watchers, `worst` the last of all.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.calls import path
from benchmarks.figures import Goal
from benchmarks.scale import usage
from benchmarks.scale.generator import REQUEST_ID, Generator, Target, generator
from benchmarks.scale.rows import Cell, Row
from benchmarks.scale.scene import Scene, fill, grow, keys_of, puts

_ROUNDS = 3
_WITHIN = 10.0
_MOST_CPU, _ALL_WITHIN = 60.0, 1000.0


@dataclass(frozen=True)
class _Pace:
    """The Puts of the key in one turn, and the seconds between two of them."""

    writes: int
    interval: float


def _pace(streams: int) -> _Pace:
    """Enough time between two Puts for 200 µs a stream, so that turns have the same length."""
    interval = max(0.05, streams * 200e-6)
    return _Pace(max(2, round(2.0 / interval)), interval)


async def measure(scene: Scene) -> AsyncGenerator[Row, None]:
    """A row for each number of watchers."""
    hot, cold = keys_of(2, 1)
    put_hot, put_cold = puts([hot, cold])
    with scene.server() as server:
        async with generator() as load:
            await fill(load, server.address, [hot, cold])
            target = Target(server.address, path("Put"), REQUEST_ID)
            for size in (10, *scene.sizes):
                what = f"push, {size:,} watchers"
                name = f"{size:,} watchers of one key"
                if not await grow(scene, load, what, [server.address], [hot], size, size):
                    yield Row("Push", name, {}, ["not measured: not all streams became current"])
                    return
                await load.window()
                costs: list[float] = []
                taken: list[Any] = []
                pid = server.process.pid
                for i in range(_ROUNDS):
                    scene.say(f"{what}, round {i + 1} of {_ROUNDS}")
                    base, _ = await _turn(load, pid, target, put_cold, -1, size)
                    cpu, told = await _turn(load, pid, target, put_hot, 0, size)
                    costs.append((cpu - base) / told["writes"] / size * 1e6)
                    taken.append(told)
                window = await load.window()
                untold = sum(told["untold"] for told in taken)
                late = f"{untold:,} times a watcher was not told within {_WITHIN:g} s"
                all_told = median(told["last"] for told in taken)
                yield Row(
                    "Push",
                    name,
                    {
                        "CPU": Cell(median(costs), "µs", Goal("cpu", at_most=_MOST_CPU)),
                        "p50": Cell(median(told["p50"] for told in taken), "ms"),
                        "p99": Cell(median(told["p99"] for told in taken), "ms"),
                        "all": Cell(all_told, "ms", Goal("all", at_most=_ALL_WITHIN)),
                        "worst": Cell(max(told["worst"] for told in taken), "ms"),
                        "resets": Cell(window["resets"]),
                        "ended": Cell(window["ended"]),
                    },
                    [late] if untold else [],
                )


async def _turn(
    load: Generator, pid: int, target: Target, put: bytes, key: int, size: int
) -> tuple[float, Any]:
    """Put a key for a turn. Returns the server's CPU seconds, and when watchers were told."""
    pace = _pace(size)
    before = usage.cpu_seconds(pid)
    told = await load.push(
        target, put, key=key, writes=pace.writes, interval=pace.interval, within=_WITHIN
    )
    return usage.cpu_seconds(pid) - before, told
