"""Runs the tests on every server and with every Python that Relevo is proven on.

Servers are fetched into .cache/, and an environment is made there for each Python; both
are kept. What this machine cannot have is named and left out; with CI=true it is a failure.
"""

import argparse
import os
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from matrix import plan, pythons, servers
from matrix.absent import AbsentError
from matrix.legs import ROOT, Outcome, Run
from matrix.plan import Leg
from matrix.table import table
from nooble.redis_binary import binary

_CACHE = ROOT / ".cache"
_LOGS = _CACHE / "matrix"
_SECONDS_BETWEEN_PROGRESS = 60


def main() -> int:
    """Run the legs that were asked for. 1 if one failed."""
    arguments = _arguments()
    own = pythons.own()
    legs = plan.sample(own, servers.name_of(binary())) if arguments.sample else plan.legs(own)
    named = [each for each in legs if not arguments.legs or each.name in arguments.legs]
    outcomes = _run(named, arguments.side_by_side)
    print(f"\n{table(outcomes)}")
    return int(failed(outcomes.values(), is_ci=os.environ.get("CI") == "true"))


def failed(outcomes: Collection[Outcome], *, is_ci: bool) -> bool:
    """Whether a leg failed. One that the machine cannot have did so in CI."""
    return not outcomes or any(not each.is_good and (is_ci or not each.absent) for each in outcomes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__)
    names = [each.name for each in plan.legs(pythons.own())]
    parser.add_argument("--sample", action="store_true", help="run only what can differ")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="legs at a time")
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"which of {', '.join(names)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.legs) - set(names):
        parser.error(f"there is no leg {', '.join(sorted(unknown))}")
    return arguments


def _run(legs: list[Leg], at_a_time: int) -> dict[Leg, Outcome]:
    _LOGS.mkdir(parents=True, exist_ok=True)
    runs = [Run(leg, _LOGS) for leg in legs]
    found = {name: _server(name) for name in sorted({leg.server for leg in legs})}
    with ThreadPoolExecutor(at_a_time) as pool:
        futures = [pool.submit(_outcome, run, found[run.leg.server]) for run in runs]
        while wait(futures, timeout=_SECONDS_BETWEEN_PROGRESS).not_done:
            _say(", ".join(run.progress for run in runs if run.is_under_way))
    return {run.leg: future.result() for run, future in zip(runs, futures, strict=True)}


def _server(name: str) -> Path | AbsentError:
    try:
        return servers.fetched(name, _CACHE)
    except AbsentError as error:
        return error


def _outcome(run: Run, server: Path | AbsentError) -> Outcome:
    began = time.monotonic()
    try:
        if isinstance(server, AbsentError):
            raise server
        python = pythons.environment(run.leg.python, _CACHE)
    except AbsentError as error:
        _say(f"{run.leg.name} is left out: {error}")
        return Outcome(absent=f"left out: {error}")
    _say(f"{run.leg.name} begins: Python {run.leg.python}, {servers.described(server)}")
    outcome = run(python, server)
    if not outcome.is_good:
        print(run.failures)
    how = "is good" if outcome.is_good else "FAILED"
    _say(f"{run.leg.name} {how}, after {time.monotonic() - began:.0f} s; see {run.log}")
    return outcome


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
