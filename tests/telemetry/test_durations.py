"""The histograms of durations, as the SDK's data."""

import sys
from types import FrameType
from typing import Any

from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from relevo_server.telemetry.durations import Durations
from relevo_server.telemetry.histograms import Histogram, Series
from relevo_server.telemetry.instruments import METER


def points(durations: Durations) -> list[HistogramDataPoint]:
    """What is collected now."""
    scope = ScopeMetrics(InstrumentationScope(METER), [], "")
    data = MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    added = durations.added_to(data).resource_metrics[0].scope_metrics[0].metrics
    found: list[Any] = [point for metric in added for point in metric.data.data_points]
    return found


def test_whoever_reads_while_a_duration_is_counted() -> None:
    """Between any two steps of a record, what is counted is in the sum, and from min to max."""
    histogram = Histogram("calls", "", (1.0, 5.0))
    series, durations = histogram.series({}), Durations([histogram])
    recorded, counts = (2.0, 9.0, 0.5), list[int]()

    def look(_: FrameType, event: str, __: object) -> Any:
        if event == "line":
            for point in points(durations):
                counts.append(point.count)
                assert sum(point.bucket_counts) == point.count
                counted = recorded[: point.count]
                assert point.sum >= sum(counted)
                assert point.min <= min(counted)
                assert point.max >= max(counted)
        return look

    def trace(frame: FrameType, _: str, __: object) -> Any:
        return look if frame.f_code is Series.record.__code__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for seconds in recorded:
            series.record(seconds)
    finally:
        sys.settrace(before)
    assert set(counts) == {1, 2}


def test_differences() -> None:
    """A difference has what was counted since the last one. Its least and greatest are unknown."""
    histogram = Histogram("calls", "", (1.0, 5.0))
    series, durations = histogram.series({}), Durations([histogram], is_delta=True)
    series.record(2.0)
    (first,) = points(durations)
    assert (first.count, first.sum, first.min, first.max) == (1, 2.0, 2.0, 2.0)
    series.record(0.5)
    series.record(3.0)
    (second,) = points(durations)
    assert (second.count, second.sum, second.bucket_counts) == (2, 3.5, [1, 1, 0])
    unknown: list[object] = [second.min, second.max]
    assert unknown == [None, None]
    assert second.start_time_unix_nano == first.time_unix_nano
    assert points(durations) == []
