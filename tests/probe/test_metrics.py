"""docs/observability.md lists the instruments of the probe: these, and no others."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from relevo_probe.metrics import Metrics
from relevo_probe.rules import Check
from support.telemetry.recorded import check
from support.telemetry.table import instruments

DOCUMENTED = {name: each for name, each in instruments().items() if each.meter == "relevo_probe"}


def test_the_table() -> None:
    """Each documented instrument is recorded, as documented, and no other is."""
    reader = InMemoryMetricReader()
    metrics = Metrics(MeterProvider([reader], shutdown_on_exit=False))
    for each in Check:
        metrics.checked(each, 1)
        metrics.violated(each)
    metrics.stale(0.1)
    metrics.failed("STORE_UNAVAILABLE")
    data: Any = reader.get_metrics_data()
    [scope] = data.resource_metrics[0].scope_metrics
    assert scope.scope.name == "relevo_probe"
    assert {metric.name for metric in scope.metrics} == DOCUMENTED.keys()
    for metric in scope.metrics:
        check(metric, DOCUMENTED[metric.name])


def test_the_checks() -> None:
    """The page lists every check."""
    listed = DOCUMENTED["relevo.probe.checks"].values["relevo.probe.check"]
    assert set(listed) == set(Check)
