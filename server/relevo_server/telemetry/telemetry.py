"""The instruments of a server: a meter, histograms and a tracer, each of which may be missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from relevo_server.telemetry.histograms import Histogram


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The instruments; None for one that nobody collects, which then costs nothing."""

    meter: Meter | None = None
    calls: Histogram | None = None
    """The durations of RPCs."""
    operations: Histogram | None = None
    """The durations of the store's operations."""
    tracer: Tracer | None = None
    records: Callable[[Sequence[Mapping[str, Any]]], None] | None = None
    """Sends audit records to a collector, and waits for its answer. Raises OSError without one."""


NOTHING = Telemetry()
"""Measures nothing."""
