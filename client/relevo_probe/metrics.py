"""The instruments of a probe. Without an SDK they cost nothing and do nothing."""

from opentelemetry import metrics

from relevo_probe.rules import Check


class Metrics:
    """The instruments of `docs/observability.md`, on the global meter provider or another one."""

    def __init__(self, provider: metrics.MeterProvider | None = None) -> None:
        meter = (provider or metrics.get_meter_provider()).get_meter("relevo_probe")
        self._checks = meter.create_counter(
            "relevo.probe.checks", "{check}", "Observations that were checked"
        )
        self._violations = meter.create_counter(
            "relevo.probe.violations", "{violation}", "Observations that break a promise"
        )
        self._staleness = meter.create_histogram(
            "relevo.probe.staleness",
            "s",
            "Time from an acknowledged write until a near cache shows it",
            explicit_bucket_boundaries_advisory=[
                *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
            ],
        )
        self._failures = meter.create_counter(
            "relevo.probe.failures", "{call}", "Calls of the probe that failed: no violation"
        )
        for check in Check:  # an alert needs a zero to begin from
            self._violations.add(0, {"relevo.probe.check": check.value})

    def checked(self, check: Check, number: int) -> None:
        """Count observations that were checked."""
        self._checks.add(number, {"relevo.probe.check": check.value})

    def violated(self, check: Check) -> None:
        """Count an observation that breaks a promise."""
        self._violations.add(1, {"relevo.probe.check": check.value})

    def stale(self, seconds: float) -> None:
        """Record the time until a near cache has shown a write."""
        self._staleness.record(seconds)

    def failed(self, reason: str) -> None:
        """Count a failed call by its reason."""
        self._failures.add(1, {"error.type": reason.lower()})
