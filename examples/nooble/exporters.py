"""OpenTelemetry's SDK, set up for a service. Only `exporting` imports it, and only if needed."""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation import grpc
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server

_grpc: Any = grpc  # whose types are only half known


def sent() -> MetricReader:
    """A reader that sends metrics to a collector."""
    return PeriodicExportingMetricReader(OTLPMetricExporter())


class _Served(PrometheusMetricReader):
    """A reader that serves metrics to Prometheus until it is shut down."""

    def __init__(self) -> None:
        super().__init__()
        self._server, self._thread = start_http_server(0, "127.0.0.1")
        self.address = f"127.0.0.1:{self._server.server_port}"

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        reader: Any = super()  # whose own types are only half known
        reader.shutdown(timeout_millis, **kwargs)


def served(announce: Callable[[str], None]) -> MetricReader:
    """A reader that serves metrics to Prometheus, on a free port that is announced."""
    reader = _Served()
    announce(reader.address)
    return reader


@contextmanager
def exporting(service: str, reader: MetricReader, *, with_spans: bool) -> Generator[None]:
    """Export metrics through the reader, and spans by OTLP, until the end of the block.

    gRPC's calls get their spans, and carry the trace, by OpenTelemetry's own instrumentation.
    """
    resource = Resource.create({"service.name": service, "process.pid": os.getpid()})
    with ExitStack() as stack:
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        stack.callback(meters.shutdown)
        metrics.set_meter_provider(meters)
        if with_spans:
            tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
            stack.callback(tracers.shutdown)
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(tracers)
            _grpc.GrpcAioInstrumentorClient().instrument()
            _grpc.GrpcAioInstrumentorServer().instrument()
        yield
