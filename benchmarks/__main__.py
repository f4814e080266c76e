"""`python -m benchmarks`: runs all benchmarks, prints a table, and writes bench.json.

Needs `tests` on the path, as `make bench` sets it: the tests' support package starts and
stops Redis and `relevo serve`.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import (
    calls,
    local,
    memory,
    missers,
    propagation,
    pushes,
    refill,
    report,
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
    "refill": refill.measure,
    "turns": turns.measure,
    "missers": missers.measure,
    "telemetry": telemetry.measure,
    "memory": memory.measure,
    "shares": shares.measure,
}
"""A benchmark is a coroutine function from a run to figures."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes; rough figures")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), metavar="FILE")
    parser.add_argument(
        "--unbound", action="store_true", help="let the system choose the cores of all processes"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    try:
        asyncio.run(_run(options, Console()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")


async def _run(options: argparse.Namespace, console: Console) -> None:
    task = asyncio.current_task()
    if task:  # SIGTERM cancels as Ctrl-C does, so that all processes are stopped
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    cores = Cores(bind=not options.unbound)
    report.print_machine(console, cores)
    figures: list[Figure] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    # Drawn only between turns, so that drawing takes no CPU from the load generator.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        bar = progress.add_task("starting", total=None)

        def say(text: str) -> None:
            progress.update(bar, description=text, refresh=True)

        # Many short rounds, so that a disturbance of the machine affects only a few of them.
        rounds, seconds = (3, 0.2) if options.quick else (21, 0.4)
        with begin(Schedule(rounds, seconds, say), cores) as run:
            for name in options.names or BENCHMARKS:
                figures += await BENCHMARKS[name](run)
    report.print_figures(console, figures)
    report.write_json(options.output, figures)


main()
