"""Sends audit records to a collector, as log records of OTLP with the fields as attributes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from relevo_server.telemetry import process
from relevo_server.telemetry.wanted import Protocol

SCOPE = "relevo_server.audit"
_SEVERITIES = {"info": SeverityNumber.INFO, "warning": SeverityNumber.WARN}


class Records:
    """Exports records, and waits for each export."""

    def __init__(self, protocol: Protocol, resource: Resource) -> None:
        self._exporter = _exporter(protocol)
        self._resource = resource
        self._scope = InstrumentationScope(SCOPE, process.release())

    def export(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Send records to the collector. Raises OSError if it does not take them."""
        if self._exporter.export(list(map(self._log_record, records))) is not _TAKEN:
            raise ConnectionError("the collector did not take the records")

    def shutdown(self) -> None:
        """End an export that has begun, and close the connection."""
        exporter: Any = self._exporter  # whose method has no types
        exporter.shutdown()

    def _log_record(self, record: Mapping[str, Any]) -> ReadableLogRecord:
        fields = dict(record)
        event, level, time = (fields.pop(name) for name in ("event", "level", "timestamp"))
        nanoseconds = round(datetime.fromisoformat(time).timestamp() * 1e9)
        return ReadableLogRecord(
            LogRecord(
                timestamp=nanoseconds,
                observed_timestamp=nanoseconds,
                severity_text=level.upper(),
                severity_number=_SEVERITIES[level],
                event_name=event,
                attributes={f"relevo.audit.{name}": value for name, value in fields.items()},
            ),
            self._resource,
            self._scope,
        )


_TAKEN = LogRecordExportResult.SUCCESS


def _exporter(protocol: Protocol) -> LogRecordExporter:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc

        return grpc.OTLPLogExporter()
    from opentelemetry.exporter.otlp.proto.http import _log_exporter as http

    return http.OTLPLogExporter()
