"""Replies: the fields that they take from their action, and failures."""

import pytest
from pydantic import ValidationError
from relevo_client import ContextKey, ContextRef, InvalidFieldError
from relevo_client.actions import ActionFailure, DomainAction

ACTION = DomainAction(
    action_type="query.search.run",
    task_id="t-1",
    tenant_id="acme",
    tenant_tier="gold",
    agent_id="a-1",
    session_id="s-1",
    conversation_id="c-1",
    user_id="u-1",
    origin_service="execution",
    correlation_id="r-1",
    callback_queue="execution.results",
    callback_action_type="execution.search.done",
    context_ref=ContextRef(ContextKey("conversation", "acme", "c-1"), 7),
    payload={"text": "?"},
    metadata={"m": 1},
    trace_context={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
)


def test_a_reply_is_about_the_same_work() -> None:
    """A reply has the task, identity, context and trace of its action, and no callback."""
    reply = ACTION.reply({"answer": 42})
    for field in (
        *("task_id", "tenant_id", "tenant_tier", "agent_id", "session_id", "conversation_id"),
        *("user_id", "metadata", "trace_context", "context_ref", "correlation_id"),
    ):
        assert getattr(reply, field) == getattr(ACTION, field)
    assert reply.action_type == "execution.search.done"
    assert reply.payload == {"answer": 42}
    assert (reply.callback_queue, reply.callback_action_type) == ("", "")
    assert reply.error is None


def test_a_reply_keeps_its_identity() -> None:
    """A reply that is created again, as after a crash, has the same id; other actions' differ."""
    assert ACTION.reply({"a": 1}).action_id == ACTION.reply({"a": 2}).action_id
    assert ACTION.reply({}).action_id == ACTION.failure("NOT_FOUND", "no").action_id
    assert ACTION.reply({}).action_id not in (
        ACTION.action_id,
        ACTION.update(action_id="other").reply({}).action_id,
    )


def test_what_ties_a_reply_to_its_action() -> None:
    """Without a correlation id, a reply has the action's own id as correlation id."""
    assert ACTION.update(correlation_id="").reply({}).correlation_id == ACTION.action_id


def test_a_reply_may_differ() -> None:
    """Any field of a reply can be set, and is validated."""
    assert ACTION.reply({}, origin_service="query").origin_service == "query"
    with pytest.raises(ValidationError, match="payload"):
        ACTION.reply({"x": float("inf")})


def test_nobody_said_what_the_result_is_called() -> None:
    """Without a callback_action_type, `reply` raises an error that names the field."""
    with pytest.raises(InvalidFieldError, match="callback_action_type"):
        ACTION.update(callback_action_type="").reply({})


def test_a_failure_is_told() -> None:
    """A failure is a reply that the receiver can distinguish from a result."""
    failure = ACTION.failure("NOT_FOUND", "there is none")
    assert failure.payload == {"error": {"reason": "NOT_FOUND", "message": "there is none"}}
    assert failure.error == ActionFailure("NOT_FOUND", "there is none")


@pytest.mark.parametrize("error", [None, "no", {}, {"reason": "A"}, {"reason": 1, "message": "m"}])
def test_what_only_looks_like_a_failure(error: object) -> None:
    """A value named `error` in any other form is a result."""
    assert ACTION.reply({"error": error}).error is None
