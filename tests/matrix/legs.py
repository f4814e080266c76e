"""Runs a leg in a pytest process of its own."""

import os
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from matrix.plan import Leg

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """The result of a leg."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    """The duration in seconds."""
    ended: str = ""
    """The end of pytest, if it reported no results; else ""."""
    absent: str = ""
    """The reason why this machine cannot run the leg; else ""."""

    @property
    def is_good(self) -> bool:
        """Whether tests ran, and none failed."""
        return self.passed > 0 and not self.failed and not self.ended


class Run:
    """Runs a leg once. The output of pytest goes to `log`, a file in `folder`."""

    def __init__(self, leg: Leg, folder: Path) -> None:
        self.leg = leg
        self.log = folder / f"{leg.of}-{leg.ring.replace('/', '-')}.log"
        self._report = self.log.with_suffix(".xml")
        self.is_under_way = False

    def __call__(self, python: Path, servers: Path) -> Outcome:
        """Run the tests with this Python, on the `redis-server` in this folder."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
        environment["PATH"] = f"{servers}{os.pathsep}{environment['PATH']}"
        command: list[str | Path] = [
            *(python, "-m", "pytest", "-m", self.leg.marks),
            *("-p", "no:cacheprovider", "--color=no", f"--junitxml={self._report}"),
            *(f"--ignore=tests/{each}" for each in self.leg.without),
            *(f"tests/{ring}" for ring in self.leg.rings),
        ]
        began = time.monotonic()
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
        seconds = time.monotonic() - began
        if done.returncode not in (0, 1):
            return Outcome(seconds=seconds, ended=f"pytest ended with {done.returncode}")
        counts = _counts(self._report)
        return Outcome(counts["passed"], counts["failed"], counts["skipped"], seconds)

    @property
    def progress(self) -> str:
        """The progress of the run."""
        found = re.findall(r"(\d+%)\]$", self.log.read_text(), re.MULTILINE)
        return f"{self.leg.name} {found[-1] if found else '0%'}"

    @property
    def failures(self) -> str:
        """The output of pytest about failed tests, or all of it."""
        said = self.log.read_text()
        return re.split(r"^=+ (?:FAILURES|ERRORS) =+$", said, maxsplit=1, flags=re.MULTILINE)[-1]


def _counts(report: Path) -> Counter[str]:
    counts = Counter[str]()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        found = {each.tag for each in case}
        how = "failed" if found & {"failure", "error"} else "passed"
        counts["skipped" if "skipped" in found else how] += 1
    return counts
