"""Helm's own library, which lints and renders the chart in deploy/helm by `tools/chart.py`."""

import fcntl
import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from support.languages.making import ROOT

_PYTHON = ROOT / ".venv-chart" / "bin" / "python"
_SECONDS = 300


def answers(requests: Sequence[Any]) -> list[Any]:
    """The answers of `tools/chart.py answer` to requests, in their order.

    Skips the test if its environment cannot be made; on CI it fails.
    """
    _make()
    done = subprocess.run(
        [_PYTHON, ROOT / "tools" / "chart.py", "answer"],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def _make() -> None:
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    with (cache / "chart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in several processes make it once
        made = subprocess.run(
            ["make", "--silent", ".venv-chart/ready"],  # noqa: S607 - the developer's own
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    if made.returncode:
        reason = f"no tests of the chart: {made.stderr.strip().splitlines()[-1:]}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
