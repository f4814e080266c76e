"""The figures of `make bench`: what a missed one says."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.figures import Figure, Goal
from benchmarks.report import print_figures, write_json

MISSED = Figure("Page/p50", 30_000.0, "ms", spread=0.0, is_missed=True)


def test_a_missed_figure_has_no_value(tmp_path: Path) -> None:
    """A missed figure says how long was waited for it, in the table and in the file."""
    out = StringIO()
    print_figures(Console(file=out, width=100), [MISSED])
    assert "Page/p50 not within 30,000 ms" in " ".join(out.getvalue().split())
    write_json(tmp_path / "bench.json", [MISSED])
    (written,) = json.loads((tmp_path / "bench.json").read_text())
    assert (written["value"], written["not_within"]) == (None, 30_000.0)


@pytest.mark.parametrize("goal", [Goal("p50", at_most=60_000.0), Goal("p50", at_least=1.0)])
def test_a_missed_figure_meets_no_goal(goal: Goal) -> None:
    """Whatever its limit, a missed figure does not meet its goal."""
    assert Figure("Page/p50", 30_000.0, "ms", spread=0.0, goal=goal).is_met
    assert not Figure("Page/p50", 30_000.0, "ms", spread=0.0, goal=goal, is_missed=True).is_met
