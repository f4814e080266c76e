"""`stamp`: adds the sender's reference, trace context and time to an action."""

from datetime import UTC, datetime
from typing import Any

from relevo_client._context.current import current_ref
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.frozen import FrozenDict
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.spans import W3C
from relevo_client.actions._model import DomainAction, newest, rider_for


def stamp(action: DomainAction, *, rider: bool = True) -> DomainAction:
    """A copy of the action with the current reference, trace context and time. Does no I/O.

    The action's own reference stays, unless the current one is a newer one of the same key: the
    handler gets nothing older than the sender had. If the reference is that of a small snapshot,
    its values are in the action too, unless `rider` is False. The action's trace context stays if
    no span is current. Its time always stays. An action that names no tenant gets that of the
    reference. Raises InvalidFieldError if the reference is of another tenant than the action.
    """
    changes: dict[str, Any] = {}
    ref = newest(action.context_ref) or current_ref()
    if ref != action.context_ref:
        changes["context_ref"] = ref
    carried = rider_for(ref, action) if rider else b""
    if carried != action.context_rider:
        changes["context_rider"] = carried
    trace: dict[str, str] = {}
    W3C.inject(trace)
    if trace:
        others = {name: v for name, v in action.trace_context.items() if name not in W3C.fields}
        changes["trace_context"] = FrozenDict({**others, **trace})
    if action.created_at is None:
        changes["created_at"] = datetime.now(UTC)
    stamped = with_tenant(action.model_copy(update=changes))
    try:
        check_tenant(stamped)
    except InvalidFieldError:
        COUNTS.sent_refused += 1
        raise
    COUNTS.sent += stamped.context_ref is not None
    COUNTS.riders["sent"] += bool(carried)
    return stamped


def check_tenant(action: DomainAction) -> None:
    """Raise InvalidFieldError if the reference is of another tenant than the action."""
    ref = action.context_ref
    if ref and action.tenant_id and ref.key.tenant_id != action.tenant_id:
        raise InvalidFieldError([("context_ref", "is of another tenant than the action")])


def with_tenant(action: DomainAction) -> DomainAction:
    """The action, with the tenant of its reference if it names none itself."""
    if action.tenant_id or action.context_ref is None:
        return action
    return action.model_copy(update={"tenant_id": action.context_ref.key.tenant_id})
