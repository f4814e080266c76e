"""Breaks copies of the code on purpose, runs a fleet of each, and sees the probe find the break.

A break that the probe does not find within its time says that the probe is blind for the promise.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any, NamedTuple

from mutants.copies import Copy, Ended, copy_of
from mutants.listed import PROBED, ROOT, Mutant, mutants
from support.durations import Durations
from support.named_steps import showing_steps

SECONDS = 30.0
"""Seconds in which the probe has to find a break."""
_STARTS = 90.0
"""Seconds that the fleet has to start and to stop, on a busy machine."""


class Probed(NamedTuple):
    """What the probe has found in one fleet."""

    summary: dict[str, Any] | None
    """The probe's summary; None if the fleet has failed."""
    output: str

    @property
    def violations(self) -> list[dict[str, Any]]:
        """The first violations, the earliest first."""
        found: list[dict[str, Any]] = (self.summary or {}).get("first_violations", [])
        return found

    def is_found(self, mutant: Mutant) -> bool:
        """Whether the probe has found the break in time, by a check that the break names."""
        return any(
            each["check"] in mutant.finds and each["after_seconds"] <= SECONDS
            for each in self.violations
        )


def probed(copy: Copy, *, trimmed: bool, seconds: float = SECONDS) -> Probed:
    """Run a fleet of a copy, and a probe on it until it finds something."""
    arguments = ["--seconds", str(seconds), *(["--trimmed"] if trimmed else [])]
    ended = copy.python("-m", "probe.fleet", *arguments, seconds=seconds + _STARTS)
    return Probed(_summary(ended), ended.output)


def _summary(ended: Ended) -> dict[str, Any] | None:
    line = ended.output.rpartition("\n")[2]
    summary: dict[str, Any] | None = json.loads(line) if line.startswith("{") else None
    return summary


def all_found(chosen: Sequence[Mutant]) -> bool:
    """Whether the probe finds every break, and nothing without one; prints what it finds."""
    missed = 0
    ways = sorted({mutant.trimmed for mutant in chosen})
    healthy = {f"without a break{', trimmed' if way else ''}": way for way in ways}
    names = [*healthy, *(mutant.name for mutant in chosen)]
    durations = Durations.of("probe-mutants")
    with copy_of(ROOT) as copy, showing_steps(durations, "fleets", names) as steps:
        for name, trimmed in healthy.items():
            begun = time.monotonic()
            result = probed(copy, trimmed=trimmed)
            if result.summary is None or result.violations:
                steps.write(f"{result.output}\nwithout a break, the probe finds something")
                return False
            steps.done(name, time.monotonic() - begun)
        steps.write(f"no violation in {SECONDS:.0f} s without a break")
        for mutant in chosen:
            begun = time.monotonic()
            with copy.broken(mutant):
                result = probed(copy, trimmed=mutant.trimmed)
            is_found = result.is_found(mutant)
            missed += not is_found
            steps.write(_line(mutant, result, is_found=is_found))
            steps.done(mutant.name, time.monotonic() - begun)
    print(f"{len(chosen) - missed} of {len(chosen)} breaks found")
    return not missed


def _line(mutant: Mutant, result: Probed, *, is_found: bool) -> str:
    head = f"{'found' if is_found else 'MISSED':<7} {mutant.name:<30}"
    if not result.violations:
        return f"{head} {mutant.rule}\n{result.output[-2000:]}"
    after, check = result.violations[0]["after_seconds"], result.violations[0]["check"]
    return f"{head} {after:>6.2f} s  {check:<11} {mutant.rule}"


def main() -> int:
    """Try the breaks that were asked for. Returns 1 if one was not found, else 0."""
    parser = argparse.ArgumentParser(prog="python -m mutants.probing", description=__doc__)
    parser.add_argument("name", nargs="?", default="*", help="only these, for example 'late-*'")
    arguments = parser.parse_args()
    chosen = [each for each in mutants(PROBED) if fnmatch(each.name, arguments.name)]
    if not chosen:
        parser.error("there is no such mutant")
    return int(not all_found(chosen))


if __name__ == "__main__":
    sys.exit(main())
