"""The simulation reproduces what was measured."""

import pytest
from relevo_plan.constants import Point, measured
from relevo_plan.points import simulated

WITHIN = 0.2
POINTS = measured().points


@pytest.mark.parametrize("point", POINTS, ids=[each.name for each in POINTS])
def test_a_measured_point(point: Point) -> None:
    """Each committed measurement is met within 20 %."""
    found = simulated(point, measured().costs())
    assert found == pytest.approx(dict(point.measured), rel=WITHIN)


def test_what_is_measured_covers_the_questions() -> None:
    """There are points of calls, of changes to 10, 100 and 1,000 watchers, and of refills."""
    scenarios = {each.scenario for each in POINTS}
    assert scenarios == {"calls", "pushes", "refill"}
    watchers = {each.setup["watchers"] for each in POINTS if each.scenario == "pushes"}
    assert watchers >= {10, 100, 1_000}
