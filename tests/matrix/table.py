"""The table of results at the end of the matrix."""

from collections.abc import Mapping

from matrix.legs import Outcome
from matrix.plan import Leg

_LINE = "{:<13} {:<12} {:>7} {:>7} {:>8} {:>8}"


def table(outcomes: Mapping[Leg, Outcome]) -> str:
    """A line for each leg, and one with the sums."""
    lines = [_LINE.format("of", "ring", "passed", "failed", "skipped", "seconds")]
    for leg, of in outcomes.items():
        why = of.ended or of.absent
        numbers = (of.passed, of.failed, of.skipped, round(of.seconds))
        line = f"{leg.of:<13} {leg.ring:<12} {why}" if why else ""
        lines.append(line or _LINE.format(leg.of, leg.ring, *numbers))
    passed, failed, skipped = (
        sum(getattr(each, kind) for each in outcomes.values())
        for kind in ("passed", "failed", "skipped")
    )
    return "\n".join([*lines, f"{passed} passed, {failed} failed, {skipped} skipped"])
