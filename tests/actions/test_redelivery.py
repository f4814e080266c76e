"""Failed actions are redelivered as long as that may help, then dead letters, and never lost."""

import asyncio
import json
from typing import Any

import pytest
from actions.handlers import SECRET, counting
from faststream.redis.message import RedisStreamMessage
from redis import RedisError
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    Policy,
    require_context,
)
from relevo_client.actions import ActionFailure, DomainAction
from relevo_client.testing import LocalStore
from support.clients.actions import user
from support.clients.queueing import SERVICE, Queueing


async def test_a_handler_that_fails_once(
    queueing: Queueing,
    contexts: AsyncContextClient,
    ref: ContextRef,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failed action is redelivered with its context; the log reports it without values."""
    queues = queueing.queues(contexts)
    seen = counting(queues, queueing.work, failures=1)
    action = queueing.action(tenant_id="acme", context_ref=ref, payload=SECRET)
    await queueing.send(action)
    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    assert [each.action_id for each in seen] == [action.action_id] * 2
    assert queueing.sent(queueing.results)[0].payload == {"user": "u-1"}
    (line,) = [each.getMessage() for each in caplog.records if each.name == "relevo_client"]
    for part in (action.action_id, "test.work.do", queueing.work, "delivery 1 of 5", "ValueError"):
        assert part in line
    assert "secret" not in caplog.text


async def test_a_handler_that_always_fails(
    queueing: Queueing, caplog: pytest.LogCaptureFixture
) -> None:
    """After its last delivery, an action is a dead letter, unchanged, and its sender is told."""
    queues = queueing.queues(max_deliveries=3)
    seen = counting(queues, queueing.work, failures=9)
    action = queueing.action(payload=SECRET)
    await queueing.send(action)
    ((body, _),) = queueing.entries(queueing.work)
    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    assert len(seen) == 3
    ((buried, headers),) = queueing.entries(queueing.dead)
    assert buried == body
    about = {"queue": queueing.work, "reason": "HANDLER_FAILED", "deliveries": "3"}
    assert {**headers, **about, "service": SERVICE} == headers
    (told,) = queueing.sent(queueing.results)
    assert told.error == ActionFailure("HANDLER_FAILED", "the action's handler failed")
    assert told.action_id == action.reply({}).action_id
    assert "is a dead letter, HANDLER_FAILED" in caplog.text
    assert "secret" not in caplog.text


async def test_who_needs_a_context_is_told_that_there_is_none(
    queueing: Queueing, contexts: AsyncContextClient, ref: ContextRef
) -> None:
    """A failure reply without a reference is handled without a context, under any policy."""
    queues = queueing.queues(contexts, policy=Policy(no_reference=Fallback.REJECT))
    counting(queues, queueing.work)
    told: list[tuple[str, object]] = []

    @queues.handle(queueing.results)
    async def receive(action: DomainAction) -> None:
        assert action.error
        told.append((action.error.reason, user()))

    await contexts.invalidate(ref.key)
    await queueing.send(queueing.action(tenant_id="acme", context_ref=ref))
    async with queues:
        await queueing.until(lambda: told or len(queueing.entries(queueing.dead)) > 1)
    assert told == [("NO_ENTRY", None)]


async def test_the_store_comes_back(
    queueing: Queueing, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """While the store is unavailable, the action waits, and is handled afterwards.

    A delivery does not count if the store could not be asked.
    """
    async with AsyncContextClient(f"127.0.0.1:{port}", timeout=0.1) as contexts:
        queues = queueing.queues(contexts, max_deliveries=1)
        seen = counting(queues, queueing.work)
        key = ContextKey("conversation", "acme", "c-1")
        await queueing.send(queueing.action(tenant_id="acme", context_ref=ContextRef(key)))
        async with queues:
            await queueing.until(lambda: caplog.text.count("delivery 1 of 1: will be") >= 3)
            assert not seen
            with LocalStore(listen=f"127.0.0.1:{port}") as store:
                store.client.put(key, ExecutionContext(tenant_id="acme", user_id="u-1"))
                await queueing.until(lambda: queueing.sent(queueing.results))
                await queueing.until_done()
    assert queueing.sent(queueing.results)[0].payload == {"user": "u-1"}


@pytest.mark.timing
async def test_work_that_takes_long(queueing: Queueing) -> None:
    """A handler may take longer than redeliver_after: no other consumer gets its action."""
    number = 0

    async def work(_: DomainAction) -> None:
        nonlocal number
        number += 1
        await asyncio.sleep(1.5 * redeliver_after)

    redeliver_after = 2.0  # longer than a machine pauses: the action is kept all the while
    one, other = (
        queueing.queues(consumer=name, redeliver_after=redeliver_after) for name in ("one", "other")
    )
    for queues in (one, other):
        queues.handle(queueing.work)(work)
    await queueing.send(queueing.action())
    async with one, other:
        await queueing.until(lambda: number)
        await queueing.until_done()
    assert number == 1


async def test_an_end_between_reply_and_acknowledgement(
    queueing: Queueing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply is sent before the acknowledgement; if that fails, twice, with one id."""
    ack = RedisStreamMessage.ack
    fails = True

    async def failing(message: Any) -> None:
        nonlocal fails
        if fails:
            fails = False
            raise RedisError("away")
        await ack(message)

    monkeypatch.setattr(RedisStreamMessage, "ack", failing)
    queues = queueing.queues()
    counting(queues, queueing.work)
    await queueing.send(queueing.action())
    async with queues:
        await queueing.until(lambda: len(queueing.sent(queueing.results)) == 2)
        await queueing.until_done()
    one, two = queueing.sent(queueing.results)
    assert one.action_id == two.action_id
    assert "stays pending: RedisError" in caplog.text


async def test_what_was_trimmed_undone(
    queueing: Queueing, caplog: pytest.LogCaptureFixture
) -> None:
    """An action that was trimmed from its queue does not stay pending, and delays no other."""
    queues = queueing.queues()
    seen = counting(queues, queueing.work)
    await queueing.send(queueing.action())
    queueing.redis("XGROUP", "CREATE", queueing.work, SERVICE, "0")
    queueing.redis("XREADGROUP", "GROUP", SERVICE, "gone", "STREAMS", queueing.work, ">")
    queueing.redis("XTRIM", queueing.work, "MAXLEN", 0)
    await queueing.send(queueing.action())
    async with queues:
        await queueing.until_done()
        await queueing.until(lambda: queueing.sent(queueing.results))
    assert len(seen) == 1
    assert "was trimmed undone" in caplog.text


async def test_a_handler_that_returns_nonsense(queueing: Queueing) -> None:
    """A result that is not a mapping, or cannot be sent, is the handler's failure."""
    queues = queueing.queues(max_deliveries=1)
    results: list[Any] = [7, {"x": float("nan")}]

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> Any:
        return results.pop()

    await queueing.send(queueing.action(), queueing.action())
    async with queues:
        await queueing.until(lambda: len(queueing.sent(queueing.results)) == 2)
    for told in queueing.sent(queueing.results):
        assert told.error is not None
        assert told.error.reason == "HANDLER_FAILED"


async def test_something_is_cancelled_in_a_handler(queueing: Queueing) -> None:
    """A cancelled handler of a running consumer has failed; others continue."""
    queues = queueing.queues()
    seen: list[object] = []

    @queues.handle(queueing.work)
    async def work(action: DomainAction) -> dict[str, Any]:
        seen.append(action.payload["n"])
        if len(seen) == 1:
            raise asyncio.CancelledError
        return {}

    await queueing.send(queueing.action(payload={"n": 1}), queueing.action(payload={"n": 2}))
    async with queues:
        await queueing.until(lambda: len(queueing.sent(queueing.results)) == 2)
        await queueing.until_done()
    assert seen == [1, 2, 1]


async def test_a_context_is_required(queueing: Queueing, contexts: AsyncContextClient) -> None:
    """A handler that requires a context of an action without a reference has failed."""
    queues = queueing.queues(contexts, max_deliveries=1)

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> dict[str, Any]:
        return {"user": require_context().user_id}

    await queueing.send(queueing.action())
    async with queues:
        await queueing.until(lambda: queueing.entries(queueing.dead))
        await queueing.until_done()
    assert json.loads(queueing.entries(queueing.dead)[0][0])["action_type"] == "test.work.do"
