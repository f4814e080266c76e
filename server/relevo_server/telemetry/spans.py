"""Spans of calls and of the store's operations. None has a key, a value or an error's text."""

from collections.abc import Iterable, Mapping

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

Metadata = Iterable[tuple[str, str | bytes]]


def begin_server_span(
    tracer: Tracer, name: str, metadata: Metadata, attributes: Mapping[str, str]
) -> Span:
    """Begin a call's span, as a child of the one that the metadata names, and make it current.

    It stays current until the end of the call's task. It is never detached: what a stream yields
    may be asked for in another context.
    """
    carrier = {key: value for key, value in metadata if isinstance(value, str)}
    parent = propagate.extract(carrier)
    span = tracer.start_span(name, parent, SpanKind.SERVER, dict(attributes))
    context.attach(trace.set_span_in_context(span, parent))
    return span


def begin_client_span(tracer: Tracer, name: str, attributes: Mapping[str, str]) -> Span | None:
    """Begin an operation's span, as a child of the current one.

    None without a current one that is recorded: the server's own polls have no spans.
    """
    if not trace.get_current_span().is_recording():
        return None
    return tracer.start_span(name, kind=SpanKind.CLIENT, attributes=dict(attributes))


def end(span: Span, attributes: Mapping[str, str], *, failed: bool) -> None:
    """End a span."""
    span.set_attributes(dict(attributes))
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end()
