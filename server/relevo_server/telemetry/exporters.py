"""Providers and exporters of OpenTelemetry's SDK: OTLP, and text for Prometheus.

It needs the extra `telemetry`, so only `relevo serve` imports it, and only if it is wanted.
"""

import os
import threading
import time
import uuid
from types import TracebackType

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from prometheus_client import CollectorRegistry

from relevo_server.logs import log
from relevo_server.telemetry import instruments, process
from relevo_server.telemetry.durations import Durations, PrometheusReader, PushReader
from relevo_server.telemetry.records import Records
from relevo_server.telemetry.scrape import MetricsServer, report_of
from relevo_server.telemetry.telemetry import Telemetry
from relevo_server.telemetry.wanted import Protocol, Wanted
from relevo_server.telemetry.whole import Report

_LAST_EXPORT = 3.0
"""Seconds that the last exports may take. A collector that is gone must not keep a server from its
end."""
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_DELTA = ("delta", "lowmemory")


class Exporters:
    """Exports what is wanted, used with `with`. Raises OSError if an address is not available.

    If the process is one of a server's workers, `worker` is its number. With `reports`, it has what
    Prometheus gets in `report`, for the supervisor, which serves it.
    """

    def __init__(self, wanted: Wanted, *, worker: int = 0, reports: bool = False) -> None:
        self._wanted = wanted
        self._registry = CollectorRegistry() if reports or wanted.metrics_listen else None
        self._resource = _resource(worker)
        self._meters: MeterProvider | None = None
        self._tracers: TracerProvider | None = None
        self._scraped: MetricsServer | None = None
        self._records: Records | None = None

    def __enter__(self) -> Telemetry:
        """Start. Returns what the server is to measure with."""
        calls, operations = instruments.calls(), instruments.operations()
        readers: list[MetricReader] = []
        if self._wanted.metrics:
            is_delta = os.environ.get(_TEMPORALITY, "").strip().lower() in _DELTA
            durations = Durations([calls, operations], is_delta=is_delta)
            readers.append(PushReader(_metric_exporter(self._wanted.metrics), durations))
        if self._registry:
            readers.append(PrometheusReader(self._registry, Durations([calls, operations])))
        if readers:
            self._meters = MeterProvider(readers, resource=self._resource, shutdown_on_exit=False)
        if self._wanted.traces:
            self._tracers = TracerProvider(resource=self._resource, shutdown_on_exit=False)
            exporter = _span_exporter(self._wanted.traces)
            self._tracers.add_span_processor(BatchSpanProcessor(exporter))
        if self._wanted.records:
            self._records = Records(self._wanted.records, self._resource)
        if self._wanted.metrics_listen and self._registry:
            self._serve_metrics(self._wanted.metrics_listen, self._registry)
        scope = instruments.METER, process.release()
        return Telemetry(
            meter=self._meters.get_meter(*scope) if self._meters else None,
            calls=calls if self._meters else None,
            operations=operations if self._meters else None,
            tracer=self._tracers.get_tracer(*scope) if self._tracers else None,
            records=self._records.export if self._records else None,
        )

    def _serve_metrics(self, listen: str, registry: CollectorRegistry) -> None:
        """Listen for Prometheus, once there is a provider: the SDK complains of earlier scrapes."""
        try:
            self._scraped = MetricsServer(listen, registry)
        except OSError:
            self.__exit__(None, None, None)
            raise
        log.info("metrics.started", address=self._scraped.address)

    @property
    def meters(self) -> MeterProvider | None:
        """The exporter of metrics, while it has started; None if nobody wants any."""
        return self._meters

    def report(self) -> Report:
        """The text for Prometheus. One thread may ask at a time."""
        return report_of(self._registry) if self._registry else ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Export what is left, for a few seconds at most."""
        if self._scraped:
            self._scraped.close()
        # In threads: the SDK's timeouts do not bound an export that has begun, and none of them
        # waits for another one's collector.
        exports = [
            threading.Thread(target=each.shutdown, name="last export", daemon=True)
            for each in (self._tracers, self._meters, self._records)
            if each
        ]
        end = time.monotonic() + _LAST_EXPORT
        for export in exports:
            export.start()
        for export in exports:
            export.join(max(0.0, end - time.monotonic()))


def _resource(worker: int) -> Resource:
    """The resource that the environment names, with defaults for what it leaves out.

    Workers have the same environment, and a collector must not take them for one process.
    """
    given = Resource.create()
    instance = given.attributes.get("service.instance.id")
    if worker and instance:
        given = given.merge(Resource({"service.instance.id": f"{instance}-{worker}"}))
    ours = {
        "service.name": "relevo",
        "service.version": process.release(),
        "service.instance.id": str(uuid.uuid4()),
    }
    unnamed = str(given.attributes.get("service.name", "")).startswith("unknown_service")
    missing = {
        name: value
        for name, value in ours.items()
        if name not in given.attributes or (name == "service.name" and unnamed)
    }
    return given.merge(Resource(missing))


def _metric_exporter(protocol: Protocol) -> MetricExporter:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc

        return grpc.OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http

    return http.OTLPMetricExporter()


def _span_exporter(protocol: Protocol) -> SpanExporter:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

        return grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

    return http.OTLPSpanExporter()
