"""Stamping: the fields that an action takes from the place where it is sent."""

from datetime import UTC, datetime

import pytest
from relevo_client import ContextKey, ContextRef, InvalidFieldError, use_context
from relevo_client.actions import DomainAction, stamp
from relevo_client.testing import LocalStore
from support.clients.actions import action_of

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


def test_the_current_reference_goes_along(store: LocalStore, ref: ContextRef) -> None:
    """An action without a reference gets the current one, and a stamped one is a copy."""
    action = action_of(tenant_id="acme")
    with use_context(store.client.resolve(ref)):
        assert stamp(action).context_ref == ref
    assert action.context_ref is None
    assert stamp(action).context_ref is None


def test_an_explicit_reference_wins(store: LocalStore, ref: ContextRef) -> None:
    """A reference that the action names stays."""
    other = ContextRef(ContextKey("conversation", "acme", "c-2"), 1)
    with use_context(store.client.resolve(ref)):
        assert stamp(action_of(other)).context_ref == other


@pytest.mark.parametrize("how", ["stamped", "replied"])
def test_no_older_context_than_its_sender_had(store: LocalStore, ref: ContextRef, how: str) -> None:
    """For one key, the newer reference is used: the named one or the current one."""
    newer = store.client.update(ref.key, {"user_id": "u-2"})
    later = ContextRef(ref.key, newer.revision + 1)

    def passed_on(given: ContextRef) -> ContextRef | None:
        action = action_of(given, callback_action_type="a.b.c")
        return (stamp(action) if how == "stamped" else action.reply({})).context_ref

    with use_context(store.client.resolve(newer)):
        assert passed_on(ref) == newer
        assert passed_on(later) == later


def test_another_tenants_context_does_not_go_along(store: LocalStore, ref: ContextRef) -> None:
    """A current context of another tenant than the action's is an error for the sender."""
    with use_context(store.client.resolve(ref)), pytest.raises(InvalidFieldError) as raised:
        stamp(action_of(tenant_id="other"))
    assert raised.value.violations[0][0] == "context_ref"


def test_the_current_span_goes_along(span: str) -> None:
    """The trace context is the current span's; the rest of the metadata stays."""
    action = action_of(trace_context={"traceparent": TRACE, "tracestate": "a=b", "x": "y"})
    assert stamp(action).trace_context == {"traceparent": span, "x": "y"}


def test_without_a_span_the_trace_stays() -> None:
    """A service without tracing keeps the action's trace."""
    action = action_of(trace_context={"traceparent": TRACE})
    assert stamp(action).trace_context == {"traceparent": TRACE}


def test_the_time_is_set_once() -> None:
    """An action keeps the time of its first stamp, and its platform's own names."""
    before = datetime.now(UTC)
    stamped = stamp(action_of(priority=3))
    assert stamped.created_at is not None
    assert before <= stamped.created_at <= datetime.now(UTC)
    assert stamp(stamped) == stamped
    assert stamped.model_extra == {"priority": 3}


def test_fields_of_a_newer_contract_stay() -> None:
    """A stamp keeps unknown fields."""
    message = action_of().to_message()
    message.MergeFromString(b"\xaa\x06\x05later")
    stamped = stamp(DomainAction.from_message(message))
    assert stamped.to_message().SerializeToString().endswith(b"later")
    assert stamped.context_ref is None
