"""The spans of actions, by OpenTelemetry's conventions for messaging."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from relevo_client._telemetry.spans import W3C, Spanned
from relevo_client.actions._model import DomainAction


def messaging(
    operation: str, kind: SpanKind, action: DomainAction, queue: str | None, system: str = ""
) -> Spanned:
    """The span of an operation (`send` or `process`) with an action.

    `system` is the name of the messaging system, if it is known. If no span is current, the
    action's own trace goes on.
    """

    def about() -> Mapping[str, str | int]:
        return {
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.message.id": action.action_id,
            "relevo.action.type": action.action_type,
            **({"messaging.destination.name": queue} if queue else {}),
            **({"messaging.system": system} if system else {}),
        }

    is_traced = trace.get_current_span().get_span_context().is_valid
    parent = None if is_traced else W3C.extract(action.trace_context)
    return Spanned(f"{operation} {queue}" if queue else operation, kind, about, parent)
