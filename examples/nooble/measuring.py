"""Measures the same conversations in each mode, lap by lap, and reports the results."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from relevo_demo import files
from relevo_demo.launching import ProcessError, end_on_signals

from nooble.driving import Driver, DrivingError
from nooble.processes import Nooble, nooble
from nooble.records import Record, Result, result_of
from nooble.report import Report
from nooble.script import Lap
from nooble.script import laps as script
from nooble.wiring import MODES, Mode

LAPS, TURNS = 20, 10
"""The defaults: long conversations of 200 turns, and two short ones in each lap."""
STORE_CALLS = 0.1
"""The most calls to the store per turn, after the first turns of conversations."""
LONG = 500
"""The turns after first turns from which on these calls are judged."""
Start = Callable[[Mode], AbstractAsyncContextManager[Nooble]]
"""Starts a platform in a mode."""


def run(
    *,
    laps: int = LAPS,
    turns: int = TURNS,
    replicas: int | None = None,
    strips_metadata: bool = False,
    record: Path | None = None,
    chart: Path | None = None,
) -> int:
    """Measure, and print what the run tells.

    `replicas` and `strips_metadata` are those of `nooble`.
    The results are written to `record` as JSON, and the chart to `chart`, as SVG if its name ends
    so and else as PNG. Returns 0 if
    Relevo kept its promises in the run, 1 if it did not or something failed, and 130 if it
    was interrupted.
    """
    try:
        for file in filter(None, (record, chart)):
            file.touch()  # fail before the run, not after it, if a file cannot be written
        start = partial(nooble, replicas=replicas, strips_metadata=strips_metadata)
        records = asyncio.run(_measured(list(script(laps, turns)), start, report := Report()))
        results = [result_of(each) for each in records]
        report.results(records, results)
        if chart:
            # Imported here: the import takes a second.
            from nooble.chart import draw  # noqa: PLC0415

            draw(records, results, chart)
            report.picture(chart)
        if record:
            record.write_text(json.dumps([asdict(each) for each in results], indent=2))
    except asyncio.CancelledError:
        print("relevo demo: interrupted", file=sys.stderr)
        return 130
    except (ProcessError, DrivingError, OSError) as error:
        print(f"relevo demo: {error}", file=sys.stderr)
        return 1
    problems = broken_promises(results)
    report.problems(problems)
    return int(bool(problems))


async def _measured(script: Sequence[Lap], start: Start, report: Report) -> list[Record]:
    end_on_signals()
    turns = sum(lap.turns for lap in script)
    report.opening(turns, len(script))
    async with AsyncExitStack() as stack:
        with report.starting(len(MODES)) as starting:
            platforms: list[Nooble] = []
            for mode in MODES:
                platforms.append(await stack.enter_async_context(start(mode)))
                starting.advance()
        drivers = [await stack.enter_async_context(Driver(each)) for each in platforms]
        with report.playing(len(MODES) * turns) as playing:
            for number, lap in enumerate(script):
                # Each mode goes first in turn.
                first = number % len(drivers)
                for driver in (*drivers[first:], *drivers[:first]):
                    await driver.play(number, lap, playing.advance)
        for driver in drivers:
            await driver.settle()
            await driver.count()
        return [driver.record for driver in drivers]


def broken_promises(results: Sequence[Result]) -> list[str]:
    """Relevo's promises that the run did not keep. Times are none: they depend on the machine."""
    relevo = next(result for result in results if result.mode == "relevo")
    problems: list[str] = []
    if any(result.failed for result in results):
        problems.append("turns have failed")
    if relevo.outdated:
        problems.append(f"{relevo.outdated} turns used outdated configuration")
    if relevo.disagreed:
        problems.append(f"in {relevo.disagreed} turns two services disagreed")
    if relevo.management_calls > len(files.configurations()) + relevo.changes:
        problems.append("agent management was asked more than once per configuration and change")
    # A short run has more changes per turn, and one slow moment of the machine counts for much.
    is_long = relevo.later_turns >= LONG
    if is_long and relevo.later_store_calls > STORE_CALLS * relevo.later_turns:
        problems.append(f"the store was asked {relevo.store_calls_per_later_turn:.2f} times a turn")
    return problems
