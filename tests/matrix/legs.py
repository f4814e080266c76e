"""The run of a leg, as a pytest of its own."""

import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from matrix.plan import Leg

ROOT = Path(__file__).parents[2]


@dataclass
class Outcome:
    """What a leg showed."""

    counts: dict[str, Counter[str]] = field(default_factory=dict[str, "Counter[str]"])
    """By ring: how many tests passed, failed and were skipped."""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """By ring: how long its tests took, with their fixtures."""
    ended: str = ""
    """How pytest ended, if it did not say what its tests did."""
    absent: str = ""
    """Why this machine cannot run the leg."""

    @property
    def is_good(self) -> bool:
        """Whether tests were run, and none failed."""
        failed = sum(each["failed"] for each in self.counts.values())
        return bool(self.counts) and not failed and not self.ended


class Run:
    """Runs a leg, once. What pytest prints goes to `log`, a file in `folder`."""

    def __init__(self, leg: Leg, folder: Path) -> None:
        self.leg = leg
        self.log = folder / f"{leg.name}.log"
        self._report = folder / f"{leg.name}.xml"
        self.is_under_way = False

    def __call__(self, python: Path, servers: Path) -> Outcome:
        """Run the tests with this Python, on the `redis-server` in this folder."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
        environment["PATH"] = f"{servers}{os.pathsep}{environment['PATH']}"
        command: list[str | Path] = [
            *(python, "-m", "pytest", "-m", self.leg.marks),
            *("-p", "no:cacheprovider", "--color=no", f"--junitxml={self._report}"),
            *(f"--ignore=tests/{each}" for each in self.leg.without),
            *(f"tests/{each}" for each in self.leg.rings),
        ]
        with self.log.open("w") as log:
            self.is_under_way = True
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        self.is_under_way = False
        if done.returncode not in (0, 1):
            return Outcome(ended=f"pytest ended with {done.returncode}")
        return _read(self._report)

    @property
    def progress(self) -> str:
        """How far it is."""
        found = re.findall(r"(\d+%)\]$", self.log.read_text(), re.MULTILINE)
        return f"{self.leg.name} {found[-1] if found else '0%'}"

    @property
    def failures(self) -> str:
        """What pytest says about tests that failed, or all that it says."""
        said = self.log.read_text()
        return re.split(r"^=+ (?:FAILURES|ERRORS) =+$", said, maxsplit=1, flags=re.MULTILINE)[-1]


def _read(report: Path) -> Outcome:
    outcome = Outcome()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        ring = case.get("classname", "").split(".")[1]
        found = {each.tag for each in case}
        how = "failed" if found & {"failure", "error"} else "passed"
        how = "skipped" if "skipped" in found else how
        outcome.counts.setdefault(ring, Counter())[how] += 1
        outcome.seconds[ring] = outcome.seconds.get(ring, 0.0) + float(case.get("time", 0))
    return outcome
