"""The figures of the benchmarks: medians over rounds, and medians of the rounds' ratios."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.rounds import Sample

QUANTITIES = {"throughput": "calls/s", "p50": "ms", "p99": "ms", "cpu": "µs"}
"""The measured quantities of each contender with their units; CPU is per call."""


@dataclass(frozen=True)
class Goal:
    """The limit for a figure's ratio, or for its value if it has none. One limit is set."""

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
    """The median over all rounds. If `is_missed`, how long was waited for it in vain."""
    unit: str
    spread: float
    """Half of the interquartile range of the rounds, relative to the value."""
    baseline: float | None = None
    """The baseline's median over the same rounds, or None."""
    ratio: float | None = None
    """The median of value / baseline in each round."""
    goal: Goal | None = None
    is_missed: bool = False
    """Whether what was to be timed did not end in time: there is no value then."""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, or None without a goal."""
        if self.goal is None:
            return None
        return not self.is_missed and self.goal.is_met(
            self.value if self.ratio is None else self.ratio
        )

    def to_json(self) -> dict[str, str | float | None]:
        """The figure for bench.json."""
        return {
            "name": self.name,
            "value": None if self.is_missed else self.value,
            "not_within": self.value if self.is_missed else None,
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
    """The figures of all contenders except the baseline. `goals` are by contender."""
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
    """The cost that the first sample adds to the third, relative to what the second adds."""
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
    """A figure from values and their baseline, which were measured in the same rounds."""
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
    """Half of the interquartile range of values, relative to their median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = quantiles(values, n=4)
    return (high - low) / 2 / middle if middle else 0.0
