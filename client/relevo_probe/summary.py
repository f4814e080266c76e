"""The findings of a run, for programs and for people. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relevo_probe.distribution import Distribution
from relevo_probe.rules import Check, Violation

OK, VIOLATED, UNCHECKED = 0, 1, 3
"""Exit codes. 2 is wrong usage."""


@dataclass(frozen=True)
class Summary:
    """The counts of a run."""

    seconds: float
    """The time that it took."""
    partitions: int
    """The partitions that were probed."""
    writes: int
    """Acknowledged writes."""
    answers: Mapping[str, int]
    """Answers by source, and `none` for near caches that had none."""
    checks: Mapping[Check, int]
    """The number of checks of each promise."""
    violations: Mapping[Check, int]
    """The number of violations of each promise."""
    found: Sequence[tuple[float, Violation]]
    """The first violations, with the seconds since the run began."""
    staleness: Distribution
    """The times from acknowledged writes until near caches showed them."""
    failures: Mapping[str, int]
    """Failed calls by their reason."""

    @property
    def exit_code(self) -> int:
        """0; 1 if a promise was broken; 3 if the store or its near caches could not be checked."""
        if any(self.violations.values()):
            return VIOLATED
        return OK if self.writes and self.answers.get("near_cache") else UNCHECKED

    def document(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {
            "result": {OK: "ok", VIOLATED: "violated", UNCHECKED: "unchecked"}[self.exit_code],
            "seconds": round(self.seconds, 3),
            "partitions": self.partitions,
            "writes": self.writes,
            "answers": dict(self.answers),
            "checks": {check.value: self.checks.get(check, 0) for check in Check},
            "violations": {check.value: self.violations.get(check, 0) for check in Check},
            "first_violations": [
                {
                    "after_seconds": round(after, 3),
                    "check": each.check.value,
                    "reader": each.reader,
                    "key": each.key.text,
                    "text": each.text,
                }
                for after, each in self.found
            ],
            "staleness_seconds": {
                "count": self.staleness.count,
                "p50": self.staleness.quantile(0.5),
                "p99": self.staleness.quantile(0.99),
                "max": self.staleness.longest if self.staleness.count else None,
            },
            "failures": dict(self.failures),
        }

    def lines(self) -> Iterator[str]:
        """The summary as a table."""
        yield f"{'promise':<14}{'checks':>10}{'violations':>12}"
        for check in Check:
            broken = self.violations.get(check, 0)
            yield f"{check.value:<14}{self.checks.get(check, 0):>10}{broken:>12}"
        yield ""
        for after, each in self.found:
            yield f"{after:7.3f} s  {each.check.value} ({each.reader}) {each.key}: {each.text}"
        yield (
            f"{self.writes} writes to {self.partitions} partitions in {self.seconds:.0f} s; "
            f"staleness p50 {milliseconds(self.staleness.quantile(0.5))}, "
            f"p99 {milliseconds(self.staleness.quantile(0.99))}, "
            f"max {milliseconds(self.staleness.quantile(1.0))}"
        )
        counts = ", ".join(f"{number} from {name}" for name, number in self.answers.items())
        yield f"answers: {counts or 'none'}".replace("from none", "missing")
        if self.failures:
            failed = ", ".join(f"{number} {reason}" for reason, number in self.failures.items())
            yield f"calls that failed (no violations): {failed}"
        yield {
            OK: "no violation",
            VIOLATED: "VIOLATED: a promise was broken",
            UNCHECKED: "nothing was checked: the store or its near caches did not answer",
        }[self.exit_code]


def milliseconds(seconds: float | None) -> str:
    """A time in milliseconds, or `-` if there is none."""
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"
