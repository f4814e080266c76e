"""Many keys: each stream watches a key of its own, and all keys are put at a high rate.

The streams watch as many different keys of a tenth as many tenants, each stream on a connection of
its own. Times are in milliseconds from the sending of a Put until its watcher has heard of it.
"""

from collections.abc import AsyncGenerator

from benchmarks.calls import path
from benchmarks.figures import Goal
from benchmarks.scale import usage
from benchmarks.scale.generator import REQUEST_ID, Target, generator
from benchmarks.scale.rows import Cell, Row
from benchmarks.scale.scene import Scene, fill, grow, keys_of, puts

_RATE = 1000.0
_SECONDS = 10.0
_P99 = 100.0


async def measure(scene: Scene) -> AsyncGenerator[Row, None]:
    """One row, at the largest number of streams."""
    size, seconds = scene.most, _SECONDS * scene.part
    keys = keys_of(size, max(1, size // 10))
    with scene.server() as server:
        async with generator() as load:
            scene.say(f"keys, {size:,} Puts")
            await fill(load, server.address, keys)
            has_settled = await grow(scene, load, "keys", [server.address], keys, size, size)
            await load.window()
            scene.say(f"keys, {_RATE:,.0f} writes a second")
            target = Target(server.address, path("Put"), REQUEST_ID)
            before = usage.cpu_seconds(server.process.pid)
            written = await load.write(target, puts(keys), rate=_RATE, seconds=seconds)
            cpu = usage.cpu_seconds(server.process.pid) - before
            window = await load.window()
            told = written["told"]
            notes = [] if has_settled else ["not all streams became current"]
            if told["untold"]:
                notes.append(f"{told['untold']:,} of {told['writes']:,} writes were not told")
            if written["late"] or written["failed"]:
                notes.append(f"{written['late']:,} writes were late, {written['failed']:,} failed")
            yield Row(
                "Keys",
                f"{size:,} watchers of {size:,} keys, {_RATE:,.0f} writes/s",
                {
                    "writes/s": Cell(written["rate"]),
                    "p50": Cell(told["p50"], "ms"),
                    "p99": Cell(told["p99"], "ms", Goal("p99", at_most=_P99)),
                    "worst": Cell(told["worst"], "ms"),
                    "Put p99": Cell(written["p99"], "ms"),
                    "of a core": Cell(100 * cpu / seconds, "%"),
                    "resets": Cell(window["resets"], "", Goal("resets", at_most=0)),
                    "ended": Cell(window["ended"]),
                },
                notes,
            )
