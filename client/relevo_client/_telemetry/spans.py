"""Spans: around what a client does with I/O, and attributes on the span that is current.

No exception is recorded, as its text may quote values. Without an SDK a span costs a microsecond.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from relevo_client._context.entry import ContextEntry
from relevo_client._context.resolved import Rebuilt, Resolved
from relevo_client._context.sources import ContextSource
from relevo_client._telemetry.instruments import NAME, RELEASE, SCOPE, SOURCE
from relevo_client._telemetry.outcomes import outcome_of

ERROR_TYPE = "error.type"
KEY, REVISION, AGE = "relevo.context.key", "relevo.context.revision", "relevo.context.age"

W3C = TraceContextTextMapPropagator()
"""Reads and writes `traceparent` and `tracestate`."""

_tracer = trace.get_tracer(NAME, RELEASE)


class Spanned:
    """A `with` block in a span of its own, which is current within it.

    A span that is sampled out is current too, so that the calls within it, and the services behind
    them, keep to that decision. `about` returns the attributes of a span that is recorded. `parent`
    is the trace context that it continues, by default the current one.
    """

    __slots__ = ("_about", "_before", "_kind", "_name", "_parent", "_within", "span")

    span: Span

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        about: Callable[[], Mapping[str, str | int]],
        parent: otel.Context | None = None,
    ) -> None:
        self._name = name
        self._kind = kind
        self._about = about
        self._parent = parent

    def __enter__(self) -> Self:
        self._within: otel.Context | None = None
        self.span = _tracer.start_span(self._name, self._parent, self._kind)
        if self.span.is_recording():
            self.span.set_attributes(self._about())
        if self.span.get_span_context().is_valid:  # else there is neither an SDK nor a trace
            self._before = otel.get_current()
            self._within = trace.set_span_in_context(self.span, self._before)
            otel.attach(self._within)
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._within is None:
            return
        # Not `detach`, which fails if another task ends a generator or a coroutine.
        if otel.get_current() is self._within:
            otel.attach(self._before)
        if error is not None:
            _fail(self.span, outcome_of(error))
        self.span.end()

    def metadata(self, entries: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """The metadata of a call in this block: these entries, and the span's trace context."""
        if self._within is None:
            return entries
        trace_context: dict[str, str] = {}
        W3C.inject(trace_context, self._within)
        return *entries, *trace_context.items()


def mark_failed(error_type: str) -> None:
    """Mark the current span as failed."""
    _fail(trace.get_current_span(), error_type)


def _fail(span: Span, error_type: str) -> None:
    span.set_attribute(ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR)


class Client(Protocol):
    """A client, as far as spans need it."""

    @property
    def trace_keys(self) -> bool:
        """Whether spans have the keys of contexts, which name tenants and conversations."""
        ...

    def age(self, entry: ContextEntry) -> float | None:
        """The seconds since an entry was last proven current; None if unknown."""
        ...


get_telemetry: Callable[[], Mapping[str, object]] = otel.get_current
"""OpenTelemetry's current context. Empty if no span is current, which is cheaper to find out than
which one is."""


def describe(resolved: Resolved, client: Client) -> None:
    """Describe a context that was just resolved, by attributes of the current span.

    Does nothing unless the span is recorded.
    """
    span = trace.get_current_span()
    if resolved is None or not span.is_recording():
        return
    if isinstance(resolved, Rebuilt):
        span.set_attribute(SOURCE, ContextSource.FALLBACK.value)
        return
    about: dict[str, Any] = {
        SCOPE: resolved.key.scope,
        REVISION: resolved.revision,
        SOURCE: resolved.source.value,
    }
    seconds = client.age(resolved)
    if seconds is not None:
        about[AGE] = seconds
    if client.trace_keys:
        about[KEY] = resolved.key.text
    span.set_attributes(about)
