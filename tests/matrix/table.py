"""What the matrix says at its end."""

from collections import Counter
from collections.abc import Mapping

from matrix.legs import Outcome
from matrix.plan import Leg

_COLUMNS = "{:<13} {:<12} {:>7} {:>7} {:>8} {:>8}"
_KINDS = ("passed", "failed", "skipped")


def table(outcomes: Mapping[Leg, Outcome]) -> str:
    """A line for each ring of each leg, and one with the sums."""
    lines = [_COLUMNS.format("leg", "ring", *_KINDS, "seconds")]
    sums = Counter[str]()
    for leg, outcome in outcomes.items():
        for ring, counts in outcome.counts.items():
            numbers = (counts[kind] for kind in _KINDS)
            lines.append(_COLUMNS.format(leg.name, ring, *numbers, round(outcome.seconds[ring])))
            sums += counts
        lines += [f"{leg.name:<13} {why}" for why in (outcome.ended, outcome.absent) if why]
    return "\n".join([*lines, ", ".join(f"{sums[kind]} {kind}" for kind in _KINDS)])
