"""The common parts of the programs that run benchmarks: names, the end, and the progress."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Collection, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from support.durations import Durations
from support.named_steps import NamedSteps, showing_steps

_WIDTH = 150


def add_names(parser: argparse.ArgumentParser, benchmarks: Collection[str]) -> None:
    """Add the argument `names`: the benchmarks to run, none for all."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(benchmarks)}")


def names_of(
    parser: argparse.ArgumentParser, options: argparse.Namespace, benchmarks: Collection[str]
) -> Sequence[str]:
    """The benchmarks to run. Ends the program if there is no such one."""
    unknown = set(options.names) - set(benchmarks)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return list(options.names or benchmarks)


def run(benchmarks: Coroutine[Any, Any, None]) -> None:
    """Run benchmarks. Ctrl-C and SIGTERM end the program, once all of its processes are stopped."""

    async def until_ended() -> None:
        task = asyncio.current_task()
        if task:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await benchmarks

    try:
        asyncio.run(until_ended())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")


def showing_progress(program: str, names: Sequence[str]) -> AbstractContextManager[NamedSteps]:
    """Show how far the benchmarks have come, and what remains.

    Drawn only when it is told something, so that drawing takes no CPU from the load generator.
    """
    return showing_steps(Durations.of(program), "benchmarks", names, ticks=False)


def wide_console() -> Console:
    """A console that is wide enough for the tables, if it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH)
