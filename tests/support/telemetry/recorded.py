"""What OpenTelemetry's SDK records in this process, which can have one provider of each kind."""

import secrets
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from opentelemetry import metrics, trace

from support.telemetry.table import Instrument

sdk_metrics: Any = pytest.importorskip("opentelemetry.sdk.metrics")
sdk_metrics_export: Any = pytest.importorskip("opentelemetry.sdk.metrics.export")
sdk_trace: Any = pytest.importorskip("opentelemetry.sdk.trace")
sdk_trace_export: Any = pytest.importorskip("opentelemetry.sdk.trace.export")
in_memory: Any = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

Attributes = frozenset[tuple[str, Any]]


class Figures(dict[tuple[str, Attributes], float]):
    """The values of all instruments at one moment, by name and attributes.

    The value of a histogram is the number of its records.
    """

    def total(self, name: str, **attributes: str) -> float:
        """The sum of an instrument's values whose attributes include these.

        A `__` in the name of an attribute is a dot.
        """
        wanted = {(key.replace("__", "."), value) for key, value in attributes.items()}
        return sum(
            value for (each, found), value in self.items() if each == name and wanted <= found
        )

    def since(self, before: "Figures") -> "Figures":
        """What was added since an earlier moment; what has not changed is left out."""
        grown = {key: value - before.get(key, 0) for key, value in self.items()}
        return Figures({key: value for key, value in grown.items() if value})


class Meters:
    """The metrics of this process."""

    def __init__(self) -> None:
        self._reader = sdk_metrics_export.InMemoryMetricReader()
        self.provider = sdk_metrics.MeterProvider(
            [self._reader], exemplar_filter=sdk_metrics.AlwaysOffExemplarFilter()
        )
        metrics.set_meter_provider(self.provider)

    def metrics(self) -> Iterator[Any]:
        """All metrics of the meter `relevo_client`, collected now."""
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                if scope.scope.name == "relevo_client":
                    yield from scope.metrics

    def figures(self) -> Figures:
        """The values of all instruments now."""
        return Figures(
            {
                (metric.name, frozenset(point.attributes.items())): (
                    point.count if hasattr(point, "count") else point.value
                )
                for metric in self.metrics()
                for point in metric.data.data_points
            }
        )


def check(metric: Any, documented: Instrument) -> None:
    """See that a metric has its documented kind, unit, attributes and values."""
    assert (_kind(metric.data), metric.unit) == (documented.data, documented.unit), metric.name
    for point in metric.data.data_points:
        assert point.attributes.keys() == set(documented.attributes), metric.name
        for attribute, value in point.attributes.items():
            assert documented.allows(attribute, value), (metric.name, attribute, value)


def _kind(data: Any) -> str:
    name = type(data).__name__.lower()
    if name != "sum":
        return name
    return "counter" if data.is_monotonic else "up-down counter"


def sizes_of(meters: Meters) -> dict[str, float]:
    """The sum of the sizes of received contexts, by scope."""
    return {
        point.attributes["relevo.context.scope"]: point.sum
        for metric in meters.metrics()
        if metric.name == "relevo.client.context.size"
        for point in metric.data.data_points
    }


class _Ids:
    """Ids that leave `random` alone: hypothesis would blame its strategies for other threads."""

    def generate_trace_id(self) -> int:
        return secrets.randbits(127) + 1

    def generate_span_id(self) -> int:
        return secrets.randbits(63) + 1

    def is_trace_id_random(self) -> bool:
        return True


class Spans:
    """The spans that were recorded in this process."""

    def __init__(self) -> None:
        self._exporter = in_memory.InMemorySpanExporter()
        self.provider = sdk_trace.TracerProvider(id_generator=_Ids())
        self.provider.add_span_processor(sdk_trace_export.SimpleSpanProcessor(self._exporter))
        trace.set_tracer_provider(self.provider)

    def clear(self) -> None:
        """Forget all recorded spans."""
        self._exporter.clear()

    def finished(self, scope: str = "") -> list[Any]:
        """The finished spans, of all libraries or of one."""
        return [
            span
            for span in self._exporter.get_finished_spans()
            if scope in ("", span.instrumentation_scope.name)
        ]


@cache
def meters() -> Meters:
    """The metrics of this process, recorded from the first call on."""
    return Meters()


@cache
def spans() -> Spans:
    """The spans of this process, recorded from the first call on."""
    return Spans()
