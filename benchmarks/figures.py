"""Figures: medians over rounds, and ratios pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.rounds import Sample

QUANTITIES = {"throughput": "calls/s", "p50": "ms", "p99": "ms", "cpu": "µs"}
"""What is measured of each contender, and its unit; CPU is for each call."""


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
    goal: float | None = None
    """What the ratio should be at least."""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, None where there is none."""
        if self.goal is None or self.ratio is None:
            return None
        return self.ratio >= self.goal

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
    goals: Mapping[str, float] | None = None,
) -> list[Figure]:
    """The figures of all contenders but the baseline.

    `goals` has, by contender, the least ratio of throughput.
    """
    figures: list[Figure] = []
    for name, own in samples.items():
        if name == baseline:
            continue
        for quantity, unit in QUANTITIES.items():
            of = attrgetter(quantity)
            values = list(map(of, own))
            base = list(map(of, samples[baseline]))
            figures.append(
                Figure(
                    name=f"{what}/{name}/{in_flight}/{quantity}",
                    value=median(values),
                    unit=unit,
                    spread=_spread(values),
                    baseline=median(base),
                    ratio=median(v / b for v, b in zip(values, base, strict=True)),
                    goal=(goals or {}).get(name) if quantity == "throughput" else None,
                )
            )
    return figures


def _spread(values: Sequence[float]) -> float:
    low, middle, high = quantiles(values, n=4)
    return (high - low) / 2 / middle
