"""Figures: medians over rounds, and ratios pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.rounds import Sample

QUANTITIES = {"throughput": "calls/s", "p50": "ms", "p99": "ms", "cpu": "µs"}
"""What is measured of each contender, and its unit; CPU is for each call."""


@dataclass(frozen=True)
class Goal:
    """What a ratio, or a value without one, should be. One of the two limits is given."""

    quantity: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether the value is within the limit."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is None or value <= self.at_most

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:.2f}"
        return f"≤ {self.at_most:.2f}"


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    value: float
    """The median over all rounds."""
    unit: str
    spread: float
    """How far the middle half of the rounds reaches, as a part of the value."""
    baseline: float | None = None
    """The baseline's value, from the same rounds."""
    ratio: float | None = None
    """The median of value / baseline in each round."""
    goal: Goal | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, None where there is none."""
        if self.goal is None:
            return None
        return self.goal.is_met(self.value if self.ratio is None else self.ratio)

    def to_json(self) -> dict[str, str | float | None]:
        """The figure for bench.json."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline,
            "ratio": self.ratio,
        }


def compare(
    what: str,
    samples: Mapping[str, Sequence[Sample]],
    *,
    baseline: str,
    in_flight: int,
    goals: Mapping[str, Goal] | None = None,
) -> list[Figure]:
    """The figures of all contenders but the baseline. `goals` are by contender."""
    figures: list[Figure] = []
    for name, own in samples.items():
        if name == baseline:
            continue
        for quantity, unit in QUANTITIES.items():
            of = attrgetter(quantity)
            goal = (goals or {}).get(name)
            values = list(map(of, own))
            base = list(map(of, samples[baseline]))
            figures.append(
                Figure(
                    name=f"{what}/{name}/{in_flight}/{quantity}",
                    value=median(values),
                    unit=unit,
                    spread=spread(values),
                    baseline=median(base),
                    ratio=median(v / b for v, b in zip(values, base, strict=True)),
                    goal=goal if goal and goal.quantity == quantity else None,
                )
            )
    return figures


def share_of(name: str, quantity: str, samples: Sequence[Sequence[Sample]], goal: Goal) -> Figure:
    """What the first adds to the third, as a part of what the second adds to it."""
    one, other, bare = ([attrgetter(quantity)(s) for s in each] for each in samples)
    added = [value - b for value, b in zip(one, bare, strict=True)]
    others = [value - b for value, b in zip(other, bare, strict=True)]
    return Figure(
        name=name,
        value=median(added),
        unit=QUANTITIES[quantity],
        spread=spread(added),
        baseline=median(others),
        ratio=median(a / o for a, o in zip(added, others, strict=True)),
        goal=goal,
    )


def paired(
    name: str,
    unit: str,
    values: Sequence[float],
    baseline: Sequence[float],
    goal: Goal | None = None,
) -> Figure:
    """A figure of something and its baseline, which took turns."""
    return Figure(
        name=name,
        value=median(values),
        unit=unit,
        spread=spread(values),
        baseline=median(baseline),
        ratio=median(v / b for v, b in zip(values, baseline, strict=True)),
        goal=goal,
    )


def spread(values: Sequence[float]) -> float:
    """How far the middle half of the values reaches, as a part of their median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = quantiles(values, n=4)
    return (high - low) / 2 / middle if middle else 0.0
