"""The wanted exports, by the settings and OpenTelemetry's standard environment variables."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Protocol: TypeAlias = Literal["grpc", "http/protobuf"]
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Wanted(NamedTuple):
    """The wanted exports."""

    metrics_listen: str | None
    """The address of the endpoint for Prometheus, as host:port; None for no such endpoint."""
    metrics: Protocol | None
    """The protocol of metrics by OTLP; None if they are not sent."""
    traces: Protocol | None
    """The protocol of traces by OTLP; None if they are not sent."""
    records: Protocol | None = None
    """The protocol by which audit records are sent by OTLP; None if they are not sent."""

    def __bool__(self) -> bool:
        return any(self)


def wanted(
    environment: Mapping[str, str],
    metrics_listen: str | None = None,
    *,
    audit_otlp: bool = False,
) -> Wanted:
    """The wanted exports.

    OTLP is on for a signal if its endpoint is set, by the signal's variable or the common one; for
    audit records only with `audit_otlp`. Raises ValueError if a variable has a value that is not
    supported, or if there is no endpoint for what was asked for.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        if metrics_listen:
            raise ValueError("metrics_listen: OTEL_SDK_DISABLED forbids it")
        if audit_otlp:
            raise ValueError("audit_otlp: OTEL_SDK_DISABLED forbids it")
        return Wanted(None, None, None)
    records = _protocol(environment, "LOGS") if audit_otlp else None
    if audit_otlp and records is None:
        raise ValueError("audit_otlp: needs otlp_endpoint, and no OTEL_LOGS_EXPORTER=none")
    return Wanted(
        metrics_listen,
        _protocol(environment, "METRICS"),
        _protocol(environment, "TRACES"),
        records,
    )


def _protocol(environment: Mapping[str, str], signal: str) -> Protocol | None:
    exporter = environment.get(f"OTEL_{signal}_EXPORTER") or "otlp"
    if exporter == "none":
        return None
    if not (environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environment.get(_ENDPOINT)):
        return None
    if exporter != "otlp":
        raise ValueError(f"OTEL_{signal}_EXPORTER: must be otlp or none")
    name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    if not environment.get(name):
        name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    match environment.get(name) or "grpc":
        case "grpc":
            return "grpc"
        case "http/protobuf":
            return "http/protobuf"
        case _:
            raise ValueError(f"{name}: must be grpc or http/protobuf")
