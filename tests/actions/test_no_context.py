"""Actions whose handler requires an unavailable context: the log and the sender get the cause."""

import logging
from uuid import uuid4

import pytest
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    Fallback,
    Policy,
    require_context,
)
from relevo_client.actions import ActionFailure, DomainAction
from relevo_client.testing import LocalStore
from support.clients.queueing import Queueing


async def need(_: DomainAction) -> None:
    """A handler that needs a context."""
    require_context()


@pytest.mark.parametrize("policy", [Policy(), Policy(no_reference=Fallback.REJECT)])
async def test_an_action_that_names_none(
    queueing: Queueing, contexts: AsyncContextClient, policy: Policy
) -> None:
    """An action without a reference is a dead letter at once, and its sender is told.

    The policy or the handler requires the context; no other delivery could have one.
    """
    queues = queueing.queues(contexts, policy=policy)
    queues.handle(queueing.work)(need)
    async with queues:
        await queues.send(queueing.action(), queueing.work)
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    (letter,) = queueing.entries(queueing.dead)
    assert (letter[1]["reason"], letter[1]["deliveries"]) == ("NO_CONTEXT", "1")
    (reply,) = queueing.sent(queueing.results)
    assert reply.error == ActionFailure("NO_CONTEXT", "the action names no context")


async def test_a_handler_that_does_not_await_a_lazy_context(
    queueing: Queueing, contexts: AsyncContextClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A lazy context without `await_context` fails the handler: it is retried, and logged."""
    queues = queueing.queues(contexts, policy=Policy(lazy=True), max_deliveries=2)
    queues.handle(queueing.work)(need)
    async with queues:
        await queues.send(queueing.action(), queueing.work)
        await queueing.until(lambda: queueing.sent(queueing.results))
    (letter,) = queueing.entries(queueing.dead)
    assert (letter[1]["reason"], letter[1]["deliveries"]) == ("HANDLER_FAILED", "2")
    assert f"NoContextError in need ({__file__}:" in caplog.text


async def test_a_context_that_is_incomplete(
    queueing: Queueing,
    contexts: AsyncContextClient,
    store: LocalStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The consumer's log names the missing layer; the sender gets a fixed text."""
    key, layer = (
        ContextKey(scope, "acme", uuid4().hex) for scope in ("conversation", "agent_config")
    )
    ref = store.client.put(key, ExecutionContext(tenant_id="acme", includes=(layer,)))
    queues = queueing.queues(contexts)
    queues.handle(queueing.work)(need)
    async with queues:
        await queues.send(queueing.action(context_ref=ref), queueing.work)
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    ours = [each for each in caplog.records if each.name == "relevo_client"]
    texts = [each.getMessage() for each in ours if each.levelno >= logging.WARNING]
    assert [text for text in texts if layer.text in text] == texts
    assert any(text.endswith(f"is incomplete: there is no {layer.text}") for text in texts)
    (reply,) = queueing.sent(queueing.results)
    assert layer.text not in reply.model_dump_json()
