"""Measures the same conversations in each mode, lap by lap, and reports the results."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from relevo_demo import files
from relevo_demo.launching import ProcessError, end_on_signals

from nooble.driving import Driver, DrivingError
from nooble.processes import Nooble, nooble
from nooble.records import Record, Result, result_of
from nooble.report import Report
from nooble.script import laps
from nooble.wiring import MODES

LAPS, TURNS = 20, 10
"""The defaults: long conversations of 200 turns, and two short ones in each lap."""


def run(
    *, laps: int = LAPS, turns: int = TURNS, record: Path | None = None, chart: Path | None = None
) -> int:
    """Measure, and print a table and a chart.

    The results are written to `record` as JSON, and the chart to `chart` as PNG. Returns 0 if
    Relevo kept its promises in the run, 1 if it did not or something failed, and 130 if it
    was interrupted.
    """
    try:
        for file in filter(None, (record, chart)):
            file.touch()  # fail before the run, not after it, if a file cannot be written
        records = asyncio.run(_measured(laps, turns, report := Report()))
        results = [result_of(each) for each in records]
        report.results(results)
        if chart:
            report.chart(results, chart)
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


async def _measured(count: int, turns: int, report: Report) -> list[Record]:
    end_on_signals()
    script = list(laps(count, turns))
    async with AsyncExitStack() as stack:
        with report.starting(len(MODES)) as started:
            platforms: list[Nooble] = []
            for mode in MODES:
                platforms.append(await stack.enter_async_context(nooble(mode)))
                started()
        drivers = [await stack.enter_async_context(Driver(each)) for each in platforms]
        with report.playing(len(MODES) * sum(lap.turns for lap in script)) as on_turn:
            for number, lap in enumerate(script):
                # Each mode goes first in turn.
                first = number % len(drivers)
                for driver in (*drivers[first:], *drivers[:first]):
                    await driver.play(number, lap, on_turn)
        for driver in drivers:
            await driver.settle()
            await driver.count()
        return [driver.record for driver in drivers]


def broken_promises(results: Sequence[Result]) -> list[str]:
    """Relevo's promises that the run did not keep."""
    by_mode = {result.mode: result for result in results}
    relevo, none = by_mode["relevo"], by_mode["none"]
    problems: list[str] = []
    if any(result.failed for result in results):
        problems.append("turns have failed")
    if relevo.outdated:
        problems.append(f"{relevo.outdated} turns used outdated configuration")
    if relevo.disagreed:
        problems.append(f"in {relevo.disagreed} turns two services disagreed")
    # Each configuration is requested once, however short the run is.
    if relevo.management_calls > max(none.management_calls / 100, len(files.configurations())):
        problems.append("agent management was asked more than 1 % as often as without Relevo")
    return problems
