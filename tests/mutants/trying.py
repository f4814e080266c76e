"""Tries mutants: breaks a copy of the project by each, and sees what the tests say."""

import re
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from mutants.copies import Copy, Ended, copy_of
from mutants.listed import Mutant
from support.durations import Durations
from support.named_steps import showing_steps


class Verdict(Enum):
    """What the tests say of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    NOT_RUN = "NOT RUN"
    """pytest could not run the tests, for example because the mutant cannot be imported."""
    TIMED_OUT = "TIMED OUT"
    """The tests neither passed nor failed in time, so nobody knows."""


_BY_CODE = {0: Verdict.SURVIVED, 1: Verdict.CAUGHT, None: Verdict.TIMED_OUT}
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_FAILED_SO_FAR = re.compile(r"^[.sxXFE]*[FE][.sxXFE]*(?: +\[ *\d+%\])?$", re.MULTILINE)
"""A line of pytest's progress with a failure. Which test failed is printed in the end."""


def verdict_of(ended: Ended) -> Verdict:
    """The verdict of a run. If a test has failed and the run then hangs, the mutant is caught."""
    if ended.code is None and _FAILED_SO_FAR.search(ended.output):
        return Verdict.CAUGHT
    return _BY_CODE.get(ended.code, Verdict.NOT_RUN)


class Trial(NamedTuple):
    """A mutant that was tried."""

    mutant: Mutant
    verdict: Verdict
    seconds: float
    output: str
    """What pytest printed."""

    def __str__(self) -> str:
        line = f"{self.verdict.value:<9}  {self.mutant.name:<20} {self.seconds:>4.0f} s"
        failed = _FAILED.search(self.output)
        by = failed[1].rpartition("/")[2] if failed and self.verdict is Verdict.CAUGHT else ""
        return f"{line}  {self.mutant.rule}{by and f' [{by}]'}"


class Trials:
    """Tests copies of a project, each used by one thread at a time.

    `seconds` is how long the tests of one mutant may take.
    """

    def __init__(self, copies: Sequence[Copy], seconds: float) -> None:
        self._seconds = seconds
        self._free = SimpleQueue[Copy]()
        for copy in copies:
            self._free.put(copy)

    @contextmanager
    def one(self) -> Generator[Copy]:
        """A copy that no other thread has meanwhile."""
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)

    def unbroken(self, tests: Sequence[str]) -> Ended:
        """Run tests on the project as it is."""
        with self.one() as copy:
            return copy.run(tests, seconds=self._seconds * len(tests))

    def tried(self, mutant: Mutant) -> Trial:
        """Try a mutant."""
        began = time.monotonic()
        with self.one() as copy, copy.broken(mutant):
            ended = copy.run(mutant.tests, seconds=self._seconds)
        return Trial(mutant, verdict_of(ended), time.monotonic() - began, ended.output)


def all_caught(
    project: Path,
    mutants: Sequence[Mutant],
    *,
    side_by_side: int = 1,
    seconds: float = 300,
    durations: Durations | None = None,
) -> bool:
    """Whether tests catch every mutant; prints what they say of each.

    The tests have to pass without a mutant first: one that fails anyway catches nothing.
    `side_by_side` is how many mutants are tried at a time, `seconds` how long each may take, and
    `durations` how long each took the last time.
    """
    durations = durations or Durations()
    tests = list(dict.fromkeys(test for each in mutants for test in each.tests))
    with ExitStack() as stack:
        copies = [stack.enter_context(copy_of(project)) for _ in range(side_by_side)]
        trying = Trials(copies, seconds)
        began = time.monotonic()
        with ThreadPoolExecutor(side_by_side) as pool:
            # Each worker takes a share of them.
            shares = [share for i in range(side_by_side) if (share := tests[i::side_by_side])]
            runs = [f"{len(share)} tests without a mutant, {i}" for i, share in enumerate(shares)]
            with showing_steps(durations, "runs without a mutant", runs) as steps:
                for run, ended in zip(runs, pool.map(trying.unbroken, shares), strict=True):
                    if ended.code != 0:
                        steps.write(f"{ended.output}\nwithout a mutant, the tests do not pass")
                        return False
                    steps.done(run, (time.monotonic() - began) / len(runs))
            print(f"the tests pass without a mutant ({time.monotonic() - began:.0f} s)", flush=True)
            trials: list[Trial] = []
            names = [each.name for each in mutants]
            with showing_steps(durations, "mutants", names, side_by_side=side_by_side) as steps:
                for trial in pool.map(trying.tried, mutants):
                    trials.append(trial)
                    steps.write(str(trial))
                    if trial.verdict in (Verdict.NOT_RUN, Verdict.TIMED_OUT):
                        steps.write(trial.output)
                    steps.done(trial.mutant.name, trial.seconds)
    caught = [trial for trial in trials if trial.verdict is Verdict.CAUGHT]
    took = time.monotonic() - began
    print(f"{len(caught)} of {len(trials)} mutants caught, in {took:.0f} s")
    return len(caught) == len(trials)
