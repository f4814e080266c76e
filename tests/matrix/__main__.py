"""Runs the tests on every server and with every Python that Relevo is proven on.

Servers are fetched into .cache/, and an environment for each Python is made there; both
are kept. Servers and Pythons that are not available are reported and skipped; with CI=true
that is a failure.
"""

import argparse
import os
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor, wait

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
    """Run the selected legs. Returns 1 if one failed, else 0."""
    arguments = _arguments()
    own = pythons.own()
    legs = plan.sample(own, servers.name_of(binary())) if arguments.sample else plan.legs(own)
    named = [
        leg
        for leg in legs
        if (not arguments.of or leg.of in arguments.of)
        and (not arguments.ring or leg.ring in arguments.ring)
    ]
    outcomes = _run(named, arguments.side_by_side)
    print(f"\n{table(outcomes)}")
    return int(failed(outcomes.values(), is_ci=os.environ.get("CI") == "true"))


def failed(outcomes: Collection[Outcome], *, is_ci: bool) -> bool:
    """Whether a leg failed. In CI, a leg that the machine cannot run has failed too."""
    return not outcomes or any(not each.is_good and (is_ci or not each.absent) for each in outcomes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__)
    legs = list(plan.legs(pythons.own()))
    of, rings = dict.fromkeys(leg.of for leg in legs), dict.fromkeys(leg.ring for leg in legs)
    parser.add_argument("--sample", action="store_true", help="run only what can differ")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="legs at a time")
    parser.add_argument("--of", nargs="+", choices=of, help="only these servers and Pythons")
    parser.add_argument("--ring", nargs="+", choices=rings, help="only these folders of tests")
    return parser.parse_args()


def _run(legs: list[Leg], at_a_time: int) -> dict[Leg, Outcome]:
    _LOGS.mkdir(parents=True, exist_ok=True)
    runs = [Run(leg, _LOGS) for leg in legs]
    with ThreadPoolExecutor(at_a_time) as pool:
        here = _Here(pool, legs)
        futures = [pool.submit(_outcome, run, here) for run in runs]
        while wait(futures, timeout=_SECONDS_BETWEEN_PROGRESS).not_done:
            under_way = [run.progress for run in runs if run.is_under_way]
            _say(", ".join(under_way) or "servers and Pythons are brought here")
    return {run.leg: future.result() for run, future in zip(runs, futures, strict=True)}


class _Here:
    """The servers and Pythons that the legs need, each fetched once, as futures."""

    def __init__(self, pool: ThreadPoolExecutor, legs: list[Leg]) -> None:
        self.servers = {
            name: pool.submit(servers.fetched, name, _CACHE)
            for name in {leg.server for leg in legs}
        }
        self.pythons = {
            version: pool.submit(pythons.environment, version, _CACHE)
            for version in {leg.python for leg in legs}
        }


def _outcome(run: Run, here: _Here) -> Outcome:
    try:
        server = here.servers[run.leg.server].result()
        python = here.pythons[run.leg.python].result()
    except AbsentError as error:
        _say(f"{run.leg.name} is left out: {error}")
        return Outcome(absent=f"left out: {error}")
    _say(f"{run.leg.name} begins: Python {run.leg.python}, {servers.described(server)}")
    outcome = run(python, server)
    if not outcome.is_good:
        print(run.failures)
    how = "is good" if outcome.is_good else "FAILED"
    _say(f"{run.leg.name} {how}, after {outcome.seconds:.0f} s; all of it in {run.log}")
    return outcome


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
