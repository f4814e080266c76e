"""The measured points, and what the model makes of them."""

from collections.abc import Callable, Mapping
from typing import Any

from relevo_plan.constants import Costs, Point
from relevo_plan.simulation import scenarios
from relevo_plan.simulation.scenarios import Results

_SCENARIOS: Mapping[str, Callable[..., Results]] = {
    "calls": scenarios.calls,
    "pushes": scenarios.pushes,
    "refill": scenarios.refill,
}


def simulated(point: Point, costs: Costs) -> Results:
    """The model's value for each measured result of a point."""
    setup: Mapping[str, Any] = point.setup
    found = _SCENARIOS[point.scenario](costs, **setup)
    return {name: found[name] for name in point.measured}
