"""Runs the tests on every server and with every Python that Relevo is proven on.

Servers are fetched into .cache/, and an environment for each Python is made there; both
are kept. Servers and Pythons that are not available are reported and skipped; with CI=true
that is a failure.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from matrix import plan, pythons, servers
from matrix.absent import AbsentError
from matrix.legs import ROOT, Outcome, Run
from matrix.plan import Leg
from matrix.table import table
from nooble.redis_binary import binary
from support.durations import Durations
from support.named_steps import NamedSteps, showing_steps

_CACHE = ROOT / ".cache"
_LOGS = _CACHE / "matrix"
_PAUSE = 2.0
"""Seconds from one look at the legs that are under way to the next."""


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
    at_a_time = 2 * (os.cpu_count() or 1)  # as `make test`: most tests wait
    parser.add_argument(
        "--side-by-side",
        type=int,
        default=at_a_time,
        metavar="N",
        help="legs at a time (default: %(default)s); of those that promise times, half as many",
    )
    parser.add_argument("--of", nargs="+", choices=of, help="only these servers and Pythons")
    parser.add_argument(
        "--ring", nargs="+", choices=rings, help="only these rings: folders, and timing"
    )
    return parser.parse_args()


def _run(legs: list[Leg], at_a_time: int) -> dict[Leg, Outcome]:
    _LOGS.mkdir(parents=True, exist_ok=True)
    beside_others = [leg for leg in legs if not leg.is_timing]
    timing = [leg for leg in legs if leg.is_timing]
    names = [leg.name for leg in legs]
    durations = Durations.of("matrix")
    with (
        ThreadPoolExecutor() as bringing,
        showing_steps(durations, "legs", names, side_by_side=at_a_time) as steps,
    ):
        here = _Here(bringing, legs)
        outcomes = _outcomes(beside_others, here, at_a_time, steps)
        return outcomes | _outcomes(timing, here, max(1, at_a_time // 2), steps)


def _outcomes(
    legs: list[Leg], here: "_Here", at_a_time: int, steps: NamedSteps
) -> dict[Leg, Outcome]:
    runs = [Run(leg, _LOGS) for leg in legs]
    with ThreadPoolExecutor(at_a_time) as pool:
        futures = {pool.submit(_outcome, run, here, steps.write): run.leg for run in runs}
        for future in _as_they_end(futures, lambda: steps.say(_under_way(runs))):
            steps.done(futures[future].name, future.result().seconds)
    return {leg: future.result() for future, leg in futures.items()}


def _as_they_end(
    futures: Collection["Future[Outcome]"], tell: Callable[[], None]
) -> Iterator["Future[Outcome]"]:
    """The futures as they end; says meanwhile what goes on."""
    waiting = set(futures)
    while waiting:
        ended, waiting = wait(waiting, timeout=_PAUSE, return_when=FIRST_COMPLETED)
        yield from ended
        tell()


def _under_way(runs: Collection[Run]) -> str:
    under_way = [run.progress for run in runs if run.is_under_way]
    return ", ".join(under_way) or "servers and Pythons are brought here"


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


def _outcome(run: Run, here: _Here, write: Callable[[str], None]) -> Outcome:
    try:
        server = here.servers[run.leg.server].result()
        python = here.pythons[run.leg.python].result()
    except AbsentError as error:
        write(_now(f"{run.leg.name} is left out: {error}"))
        return Outcome(absent=f"left out: {error}")
    write(_now(f"{run.leg.name} begins: Python {run.leg.python}, {servers.described(server)}"))
    outcome = run(python, server)
    if not outcome.is_good:
        write(run.failures)
    how = "is good" if outcome.is_good else "FAILED"
    write(_now(f"{run.leg.name} {how}, after {outcome.seconds:.0f} s; all of it in {run.log}"))
    return outcome


def _now(line: str) -> str:
    return f"{time.strftime('%H:%M:%S')} {line}"


if __name__ == "__main__":
    sys.exit(main())
