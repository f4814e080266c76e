"""Measures the store's operations: their durations, and a span for each within a call's."""

from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import TracebackType
from typing import Protocol

from opentelemetry.trace import Span

from relevo_server.telemetry import spans
from relevo_server.telemetry.telemetry import Telemetry

_NOT_MEASURED = nullcontext()


class Measure(Protocol):
    """Measures one run of a script by the store."""

    def __call__(self, operation: str, procedure: str) -> AbstractContextManager[None]:
        """A context manager around the run: the name of the command, and that of its script."""
        ...


def measure(telemetry: Telemetry, system: str) -> Measure:
    """Measures operations of a database, by its name in the semantic conventions."""
    if telemetry.operations is None and telemetry.tracer is None:
        return not_measured
    operations = _Operations(telemetry, system)
    return operations.measured


def not_measured(operation: str, procedure: str) -> AbstractContextManager[None]:
    """Measure nothing."""
    del operation, procedure
    return _NOT_MEASURED


class _Operations:
    def __init__(self, telemetry: Telemetry, system: str) -> None:
        self.histogram = telemetry.operations
        self.tracer = telemetry.tracer
        self._system = system
        self._known: dict[tuple[str, str], _Operation] = {}

    def measured(self, operation: str, procedure: str) -> "_Measured":
        name = operation, procedure
        found = self._known.get(name)
        if found is None:
            attributes = {
                "db.system.name": self._system,
                "db.operation.name": operation,
                "db.stored_procedure.name": procedure,
            }
            found = self._known[name] = _Operation(self, " ".join(name), attributes)
        return _Measured(found)


class _Operation:
    """An operation by its name, with what it has been counted under."""

    def __init__(self, of: _Operations, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.tracer = of.tracer
        self._histogram = of.histogram
        self._succeeded = of.histogram.series(attributes) if of.histogram else None

    def record(self, seconds: float, error_type: str) -> None:
        if self._succeeded is None or self._histogram is None:
            return
        if error_type:
            self._histogram.series({**self.attributes, "error.type": error_type}).record(seconds)
        else:
            self._succeeded.record(seconds)


class _Measured:
    """One run of an operation."""

    __slots__ = ("_begun", "_operation", "_span")

    def __init__(self, operation: _Operation) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        operation = self._operation
        self._span: Span | None = None
        if operation.tracer:
            self._span = spans.begin_client_span(
                operation.tracer, operation.name, operation.attributes
            )
        self._begun = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        error_type = kind.__name__ if kind else ""
        self._operation.record(perf_counter() - self._begun, error_type)
        if self._span:
            attributes = {"error.type": error_type} if error_type else {}
            spans.end(self._span, attributes, failed=bool(error_type))
