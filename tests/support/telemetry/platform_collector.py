"""A collector of all processes of a platform: what they have said, process by process."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from support.telemetry.collector import Collector, attributes_of
from support.waiting import until

Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class EndedSpan:
    """A span that has ended."""

    service: str
    pid: int
    scope: str
    name: str
    kind: str
    """As "SERVER" or "CLIENT"."""
    trace_id: str
    span_id: str
    parent_id: str
    """"" for the root."""
    attributes: Attributes


@dataclass(frozen=True)
class Point:
    """The last value that a process has sent of an instrument with some attributes."""

    service: str
    process: str
    scope: str
    name: str
    kind: str
    """As docs/observability.md has it, without "observable"."""
    unit: str
    attributes: Attributes
    value: float
    """The value, or the number of records of a histogram."""


class PlatformCollector(Collector):
    """A collector that knows its senders apart. Use with `with`."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._points: dict[tuple[Any, ...], Point] = {}
        self._ended: list[EndedSpan] = []
        self.environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.grpc_url,
            "OTEL_METRIC_EXPORT_INTERVAL": "200",  # milliseconds
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        """What lets processes send to this collector, and soon."""

    def add_metrics(self, request: Any) -> None:
        """Keep an export of metrics."""
        super().add_metrics(request)
        with self._lock:
            for resource in request.resource_metrics:
                self._points.update(_points(resource))

    def add_traces(self, request: Any) -> None:
        """Keep an export of spans."""
        super().add_traces(request)
        with self._lock:
            for resource in request.resource_spans:
                self._ended.extend(_spans(resource))

    @property
    def ended(self) -> list[EndedSpan]:
        """All spans so far, with their senders. Waits for the first; AssertionError without one."""
        until(lambda: self._ended, what="spans")
        with self._lock:
            return list(self._ended)

    @property
    def points(self) -> list[Point]:
        """The last value of every instrument of every process, by attributes.

        Waits for the first; AssertionError without one.
        """
        until(lambda: self._points, what="metrics")
        with self._lock:
            return list(self._points.values())

    def total(self, name: str, **attributes: str) -> float:
        """The sum of an instrument's values, of all processes, whose attributes include these.

        A `__` in the name of an attribute is a dot.
        """
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return sum(
            point.value
            for point in self.points
            if point.name == name and wanted.items() <= point.attributes.items()
        )

    def records(self) -> Iterator[bytes]:
        """Every span and every data point that was received, serialized one by one."""
        for request in self.requests:
            for resource in getattr(request, "resource_spans", ()):
                yield resource.resource.SerializeToString()
                for scope in resource.scope_spans:
                    yield from (span.SerializeToString() for span in scope.spans)
            for resource in getattr(request, "resource_metrics", ()):
                yield resource.resource.SerializeToString()
                for _, metric in _metrics_of(resource):
                    yield metric.name.encode()
                    yield from (point.SerializeToString() for point in _points_of(metric))


def _spans(resource: Any) -> Iterator[EndedSpan]:
    about = attributes_of(resource.resource)
    for scope in resource.scope_spans:
        for span in scope.spans:
            kind = span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
            yield EndedSpan(
                about["service.name"],
                int(about.get("process.pid", 0)),
                scope.scope.name,
                span.name,
                kind,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                attributes_of(span),
            )


def _points(resource: Any) -> Iterator[tuple[tuple[Any, ...], Point]]:
    sender = attributes_of(resource.resource)
    process = str(sender.get("service.instance.id") or sender.get("process.pid"))
    service = sender["service.name"]
    for scope, metric in _metrics_of(resource):
        for each in _points_of(metric):
            found = attributes_of(each)
            value = each.count if hasattr(each, "bucket_counts") else _number(each)
            key = (service, process, metric.name, tuple(sorted(found.items())))
            about = (metric.name, _kind(metric), metric.unit, found)
            yield key, Point(service, process, scope, *about, value)


def _metrics_of(resource: Any) -> Iterator[tuple[str, Any]]:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            yield scope.scope.name, metric


def _kind(metric: Any) -> str:
    kind: str = metric.WhichOneof("data")
    if kind != "sum":
        return kind
    return "counter" if metric.sum.is_monotonic else "up-down counter"


def _points_of(metric: Any) -> Any:
    return getattr(metric, metric.WhichOneof("data")).data_points


def _number(point: Any) -> float:
    number: float = getattr(point, point.WhichOneof("value"))
    return number
