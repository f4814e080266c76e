"""Adds the histograms of this package to what OpenTelemetry's SDK collects."""

from collections.abc import Sequence
from dataclasses import replace
from time import time_ns
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from prometheus_client import CollectorRegistry

from relevo_server.telemetry.histograms import Histogram, Series
from relevo_server.telemetry.instruments import METER


class Durations:
    """The histograms as the SDK's data, for one reader.

    Cumulative: what each series has counted since it began. With `is_delta`, what it has counted
    since the last time.
    """

    def __init__(self, histograms: Sequence[Histogram], *, is_delta: bool = False) -> None:
        self._histograms = histograms
        self._is_delta = is_delta
        self._last: dict[Series, HistogramDataPoint] = {}

    def added_to(self, data: MetricsData) -> MetricsData:
        """The same data with the histograms among those of the server's meter."""
        now = time_ns()
        metrics = [self._metric(each, now) for each in self._histograms]
        metrics = [each for each in metrics if each.data.data_points]
        return replace(
            data, resource_metrics=[_added(each, metrics) for each in data.resource_metrics]
        )

    def _metric(self, histogram: Histogram, now: int) -> Metric:
        points = [self._point(each, histogram.bounds, now) for each in histogram.all()]
        temporality = (
            AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        )
        data = HistogramData([each for each in points if each.count], temporality)
        return Metric(histogram.name, histogram.description, "s", data)

    def _point(self, series: Series, bounds: Sequence[float], now: int) -> HistogramDataPoint:
        # The counts first: the other thread goes on, and counts a duration last.
        counts, total = list(series.counts), series.total
        point = HistogramDataPoint(
            attributes=series.attributes,
            start_time_unix_nano=series.started,
            time_unix_nano=now,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=bounds,
            min=series.min,
            max=series.max,
        )
        if not self._is_delta:
            return point
        last, self._last[series] = self._last.get(series), point
        return point if last is None else _difference(last, point)


class _DurationsReader(MetricReader):
    """Hands what the SDK has collected, with the histograms, to the reader that comes after it."""

    _durations: Durations

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        reader: Any = super()  # whose own types are only half known
        data = self._durations.added_to(metrics_data)
        reader._receive_metrics(data, timeout_millis, **kwargs)


class PrometheusReader(_DurationsReader, PrometheusMetricReader):
    """Collects when Prometheus asks, into a registry of prometheus_client."""

    def __init__(self, registry: CollectorRegistry, durations: Durations) -> None:
        self._durations = durations
        super().__init__(scope_info_enabled=False, registry=registry)


class PushReader(_DurationsReader, PeriodicExportingMetricReader):
    """Collects regularly, and hands the data to an exporter."""

    def __init__(self, exporter: MetricExporter, durations: Durations) -> None:
        self._durations = durations
        super().__init__(exporter)


def _added(data: ResourceMetrics, metrics: Sequence[Metric]) -> ResourceMetrics:
    def added(scope: ScopeMetrics) -> ScopeMetrics:
        is_ours = scope.scope.name == METER
        return replace(scope, metrics=[*scope.metrics, *metrics]) if is_ours else scope

    return replace(data, scope_metrics=[added(each) for each in data.scope_metrics])


def _difference(last: HistogramDataPoint, point: HistogramDataPoint) -> HistogramDataPoint:
    """The durations since the last point. Their minimum and maximum are unknown."""
    unknown: Any = None  # optional in OTLP, whatever the SDK's types say
    pairs = zip(point.bucket_counts, last.bucket_counts, strict=True)
    return replace(
        point,
        start_time_unix_nano=last.time_unix_nano,
        count=point.count - last.count,
        sum=point.sum - last.sum,
        bucket_counts=[now - before for now, before in pairs],
        min=unknown,
        max=unknown,
    )
