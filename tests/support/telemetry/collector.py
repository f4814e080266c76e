"""A collector in the test's own process, which keeps what it gets by OTLP."""

import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_METRICS, _TRACES, _LOGS = metrics_service_pb2, trace_service_pb2, logs_service_pb2


class Collector:
    """Listens for OTLP over gRPC and over HTTP. Use with `with`."""

    def __init__(self) -> None:
        self._metrics: list[Any] = []
        self._traces: list[Any] = []
        self._logs: list[Any] = []
        self._grpc = grpc.server(futures.ThreadPoolExecutor(2))
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Metrics(self), self._grpc
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Traces(self), self._grpc
        )
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _LogRecords(self), self._grpc
        )
        self.grpc_url = f"http://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http_url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._grpc.stop(None).wait()
        self._http.shutdown()
        self._http.server_close()

    def add_metrics(self, request: Any) -> None:
        """Keep an export of metrics."""
        self._metrics.append(request)

    def add_traces(self, request: Any) -> None:
        """Keep an export of spans."""
        self._traces.append(request)

    def add_logs(self, request: Any) -> None:
        """Keep an export of log records."""
        self._logs.append(request)

    @property
    def requests(self) -> list[Any]:
        """All exports so far: those of metrics, then those of spans and log records."""
        return [*self._metrics, *self._traces, *self._logs]

    @property
    def log_records(self) -> list[LogRecord]:
        """All log records so far."""
        return [
            record
            for request in list(self._logs)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        return [
            span
            for request in list(self._traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def exports(self) -> list[dict[str, Metric]]:
        """The metrics of each export by their names, oldest first."""
        return [
            {
                metric.name: metric
                for resource in request.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
            }
            for request in list(self._metrics)
        ]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of each resource that was exported."""
        exported = [
            *(each for request in list(self._metrics) for each in request.resource_metrics),
            *(each for request in list(self._traces) for each in request.resource_spans),
            *(each for request in list(self._logs) for each in request.resource_logs),
        ]
        return [attributes_of(each.resource) for each in exported]

    @property
    def text(self) -> str:
        """Everything that was exported."""
        return "\n".join(map(str, self.requests))


def attributes_of(record: Any) -> dict[str, Any]:
    """The attributes of a span, a data point or a resource; None for an empty value."""
    return {
        each.key: getattr(each.value, kind) if (kind := each.value.WhichOneof("value")) else None
        for each in record.attributes
    }


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self._collector.add_metrics(request)
        return _METRICS.ExportMetricsServiceResponse()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self._collector.add_traces(request)
        return _TRACES.ExportTraceServiceResponse()


class _LogRecords(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self._collector.add_logs(request)
        return _LOGS.ExportLogsServiceResponse()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/metrics":
                collector.add_metrics(_METRICS.ExportMetricsServiceRequest.FromString(body))
            elif self.path == "/v1/logs":
                collector.add_logs(_LOGS.ExportLogsServiceRequest.FromString(body))
            else:
                collector.add_traces(_TRACES.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return _Handler
