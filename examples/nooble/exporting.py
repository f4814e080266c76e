"""Exports a service's metrics and spans, if OpenTelemetry's environment variables ask for it.

- `OTEL_EXPORTER_OTLP_ENDPOINT`: both are sent there, by OTLP over gRPC.
- `OTEL_METRICS_EXPORTER=prometheus`: metrics are served to Prometheus instead, on a free port of
  the loopback address, which the service announces on standard error.

Without them nothing of OpenTelemetry's SDK is loaded: Relevo needs its API only.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


def exported(service: str, announce: Callable[[str], None]) -> AbstractContextManager[None]:
    """Export what the block does. `announce` is told the address that Prometheus may scrape.

    Needs the extra `telemetry` if there is anything to export.
    """
    to_collector = "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ
    to_prometheus = os.environ.get("OTEL_METRICS_EXPORTER") == "prometheus"
    if not to_collector and not to_prometheus:
        return nullcontext()
    from nooble import exporters  # noqa: PLC0415 - it loads the SDK

    reader = exporters.served(announce) if to_prometheus else exporters.sent()
    return exporters.exporting(service, reader, with_spans=to_collector)
