"""`python -m benchmarks.scale`: what thousands of streams cost, with tables, JSON and a chart.

Needs Go to build the load generator, and `tests` on the path, as `make scale` sets it. The server
under load has a core of its own; the generator and Redis share the others.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from support.redis.process import RedisProcess

from benchmarks import command_line, report
from benchmarks.cores import Cores
from benchmarks.scale import chart, herd, idle, push, soak, spread, usage, workers
from benchmarks.scale.generator import MISSING, program
from benchmarks.scale.rows import Row, print_rows, write_json
from benchmarks.scale.scene import Bench, Scene

SIZES = (100, 1000, 10_000)
BENCHES: dict[str, Bench] = {
    "idle": idle.measure,
    "push": push.measure,
    "keys": spread.measure,
    "herd": herd.measure,
    "workers": workers.measure,
    "soak": soak.measure,
}
"""A benchmark is an async generator function from a scene to rows."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    command_line.add_names(parser, BENCHES)
    parser.add_argument("--most", type=int, default=SIZES[-1], metavar="N", help="streams at most")
    parser.add_argument("--quick", action="store_true", help="short measurements; rough values")
    parser.add_argument("--soak", type=float, default=60.0, metavar="N", help="seconds of the soak")
    parser.add_argument("--output", type=Path, default=Path("scale.json"), metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="a PNG; needs matplotlib")
    options = parser.parse_args()
    names = command_line.names_of(parser, options, BENCHES)
    if options.most < SIZES[0]:
        parser.error(f"--most: at least {SIZES[0]}")
    if MISSING:
        sys.exit(f"the load generator is written in Go. {MISSING}")
    command_line.run(_run(names, options, command_line.wide_console()))


async def _run(names: Sequence[str], options: argparse.Namespace, console: Console) -> None:
    cores = Cores(bind=True)
    report.print_machine(console, cores)
    program()  # built before anything is measured
    most = usage.streams_that_fit(options.most)
    if most < options.most:
        console.print(f"The limit of open files allows {most:,} streams and not {options.most:,}.")
    sizes = [*(size for size in SIZES if size < most), most]
    rows: list[Row] = []
    kind = "scale-quick" if options.quick else "scale"
    with ExitStack() as stack, command_line.showing_progress(kind, names) as steps:
        given = os.environ.get("RELEVO_TEST_REDIS")
        redis = given or stack.enter_context(RedisProcess()).url
        part = 0.3 if options.quick else 1.0
        scene = Scene(cores, redis, sizes, part, options.soak, steps.say)
        for name in names:
            begun = bench_begun = time.monotonic()
            async with aclosing(BENCHES[name](scene)) as measured:
                async for each in measured:
                    row = replace(each, seconds=time.monotonic() - begun)
                    begun = time.monotonic()
                    rows.append(row)
                    write_json(options.output, rows)  # for those who interrupt it
                    steps.write(f"{row.bench}, {row.load}: {_line(row)}")
            steps.done(name, time.monotonic() - bench_begun)
    console.print()
    print_rows(console, rows)
    console.print(f"The values are in {options.output}.")
    if options.chart:
        chart.draw(rows, options.chart)
        console.print(f"The chart is in {options.chart}.")


def _line(row: Row) -> str:
    return ", ".join(f"{name} {cell}" for name, cell in row.cells.items())


if __name__ == "__main__":
    main()
