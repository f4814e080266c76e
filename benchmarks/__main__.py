"""`python -m benchmarks`: runs all benchmarks, prints a table, and writes bench.json.

Needs `tests` on the path, as `make bench` sets it: the tests' support package starts and
stops Redis and `relevo serve`.
"""

import argparse
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import (
    calls,
    capacity,
    command_line,
    console,
    hostile,
    local,
    logs,
    memory,
    missers,
    notifications,
    propagation,
    pushes,
    refill,
    report,
    security,
    shares,
    telemetry,
    turns,
    writes,
)
from benchmarks.cores import Cores
from benchmarks.figures import Figure
from benchmarks.rounds import Schedule
from benchmarks.run import Run, begin

BENCHMARKS: dict[str, Callable[[Run], Awaitable[list[Figure]]]] = {
    "calls": calls.measure,
    "writes": writes.measure,
    "propagation": propagation.measure,
    "local": local.measure,
    "pushes": pushes.measure,
    "logs": logs.measure,
    "refill": refill.measure,
    "turns": turns.measure,
    "missers": missers.measure,
    "notifications": notifications.measure,
    "telemetry": telemetry.measure,
    "memory": memory.measure,
    "capacity": capacity.measure,
    "shares": shares.measure,
    "hostile": hostile.measure,
    "console": console.measure,
    "security-get": security.get,
    "security-put": security.put,
    "security-call": security.call,
}
"""A benchmark is a coroutine function from a run to figures."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    command_line.add_names(parser, BENCHMARKS)
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes; rough figures")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), metavar="FILE")
    parser.add_argument(
        "--unbound", action="store_true", help="let the system choose the cores of all processes"
    )
    options = parser.parse_args()
    names = command_line.names_of(parser, options, BENCHMARKS)
    command_line.run(_run(names, options, command_line.wide_console()))


async def _run(names: Sequence[str], options: argparse.Namespace, console: Console) -> None:
    cores = Cores(bind=not options.unbound)
    report.print_machine(console, cores)
    figures: list[Figure] = []
    kind = "bench-quick" if options.quick else "bench"
    try:
        with command_line.showing_progress(kind, names) as steps:
            # Many short rounds, so that a disturbance of the machine affects only a few of them.
            rounds, seconds = (3, 0.2) if options.quick else (21, 0.4)
            with begin(Schedule(rounds, seconds, steps.say), cores) as run:
                for name in names:
                    begun = time.monotonic()
                    figures += await BENCHMARKS[name](run)
                    steps.done(name, time.monotonic() - begun)
    finally:  # a benchmark that fails takes no figures of those before it along
        report.print_figures(console, figures)
    report.write_json(options.output, figures)


main()
