"""Actions through Redis Streams are handled with their own context, and results are sent."""

import asyncio
import json
from typing import Any

import pytest
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    current_ref,
    require_context,
    use_context,
)
from relevo_client.actions import DomainAction
from relevo_client.testing import LocalStore
from support.clients.actions import trace_id, user
from support.clients.queueing import SERVICE, SOON, Queueing

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


async def test_work_is_done_with_its_context(
    queueing: Queueing, contexts: AsyncContextClient, ref: ContextRef
) -> None:
    """The handler has the action's context and trace; the result is sent to the callback queue."""
    queues = queueing.queues(contexts)

    @queues.handle(queueing.work)
    async def work(action: DomainAction) -> dict[str, Any]:
        return {"user": require_context().user_id, "trace": f"{trace_id():x}", **action.payload}

    action = queueing.action(
        tenant_id="acme", context_ref=ref, payload={"n": 1}, trace_context={"traceparent": TRACE}
    )
    async with queues:
        await queues.send(action, queueing.work)
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    (result,) = queueing.sent(queueing.results)
    assert result.payload == {"user": "u-1", "trace": "1" * 32, "n": 1}
    assert result.action_id == action.reply({}).action_id
    assert result.context_ref == ref
    assert result.origin_service == SERVICE
    assert result.created_at is not None


async def test_what_was_sent_before_anybody_read(queueing: Queueing) -> None:
    """A consumer's first start handles earlier actions; another start repeats none."""
    seen: list[object] = []

    async def work(action: DomainAction) -> None:
        seen.append(action.payload["n"])

    for round_ in range(2):
        await queueing.send(queueing.action(payload={"n": round_}))
        queues = queueing.queues()
        queues.handle(queueing.work)(work)
        async with queues:
            await queueing.until(lambda: len(seen) > round_)  # noqa: B023 - within the round
            await queueing.until_done()
    assert seen == [0, 1]


async def test_a_sender_gives_the_current_context_along(
    queueing: Queueing, store: LocalStore, ref: ContextRef
) -> None:
    """An action that a handler sends has the handler's reference, and its service's name."""
    async with queueing.queues() as queues:
        with use_context(store.client.resolve(ref)):
            await queues.send(queueing.action(tenant_id="acme"), queueing.work)
    (sent,) = queueing.sent(queueing.work)
    assert (sent.context_ref, sent.origin_service) == (ref, SERVICE)
    ((body, headers),) = queueing.entries(queueing.work)
    assert json.loads(body)["context_cache_key"] == ref.key.text
    assert headers["content-type"] == "application/json"


async def test_without_a_client_references_are_passed_on(
    queueing: Queueing, ref: ContextRef
) -> None:
    """A service without a client resolves nothing, and its actions still carry the reference."""
    queues = queueing.queues(None)
    seen: list[object] = []

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> None:
        seen.append(user())
        await queues.send(DomainAction(action_type="a.b.c"), queueing.results)

    await queueing.send(queueing.action(context_ref=ref))
    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    assert seen == [None]
    assert queueing.sent(queueing.results)[0].context_ref == ref


async def test_an_action_is_sent_as_it_is(queueing: Queueing) -> None:
    """An action that a handler returns is sent as it is."""
    queues = queueing.queues()
    own = DomainAction(action_type="my.own.result", payload={"a": 1})

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> DomainAction:
        return own

    await queueing.send(queueing.action())
    async with queues:
        await queueing.until_done()
        await queueing.until(lambda: queueing.sent(queueing.results))
    (sent,) = queueing.sent(queueing.results)
    assert (sent.action_id, sent.action_type, sent.payload) == (
        own.action_id,
        own.action_type,
        {"a": 1},
    )


async def test_nobody_waits(queueing: Queueing) -> None:
    """Without a callback_queue, a result is dropped, and the action is acknowledged."""
    queues = queueing.queues()
    done = asyncio.Event()

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> dict[str, Any]:
        done.set()
        return {"a": 1}

    await queueing.send(queueing.action(callback_queue="", callback_action_type=""))
    async with queues:
        await done.wait()
        await queueing.until_done()
    assert not queueing.sent(queueing.results)


async def test_entries_of_other_platforms(queueing: Queueing) -> None:
    """An entry whose field `data` is an action's JSON is handled, whoever added it."""
    queues = queueing.queues()
    seen: list[DomainAction] = []

    @queues.handle(queueing.work)
    async def work(action: DomainAction) -> None:
        seen.append(action)

    data = {"action_id": "1", "action_type": "a.b.c", "session_id": None, "context_revision": 5}
    data["context_cache_key"] = "conversation:acme:c-1"
    queueing.redis("XADD", queueing.work, "*", "data", json.dumps(data))
    async with queues:
        await queueing.until(lambda: seen)
        await queueing.until_done()
    (action,) = seen
    assert action.context_ref == ContextRef(ContextKey("conversation", "acme", "c-1"), 5)


async def test_parallel_work(
    queueing: Queueing, contexts: AsyncContextClient, store: LocalStore
) -> None:
    """At most `concurrency` actions are handled at a time, each with its own tenant's context."""
    queues = queueing.queues(contexts, concurrency=3, redeliver_after=5)
    running: set[str] = set()
    most = 0
    together = asyncio.Barrier(3)

    @queues.handle(queueing.work)
    async def work(action: DomainAction) -> dict[str, Any]:
        nonlocal most
        running.add(action.action_id)
        most = max(most, len(running))
        await together.wait()
        assert require_context().user_id == f"user of {action.tenant_id}"
        running.discard(action.action_id)
        return {"tenant": require_context().tenant_id}

    actions: list[DomainAction] = []
    for number in range(9):
        tenant = f"tenant-{number}"
        context = ExecutionContext(tenant_id=tenant, user_id=f"user of {tenant}")
        ref = store.client.put(ContextKey("conversation", tenant, "c"), context)
        actions.append(queueing.action(tenant_id=tenant, context_ref=ref))
    await queueing.send(*actions)
    async with queues:
        await queueing.until(lambda: len(queueing.sent(queueing.results)) == len(actions))
        await queueing.until_done()
    assert most == 3
    assert all(
        sent.payload == {"tenant": sent.tenant_id} for sent in queueing.sent(queueing.results)
    )
    assert current_ref() is None


async def test_what_is_delivered_again_is_handled_one_at_a_time(queueing: Queueing) -> None:
    """Redelivered actions are handled one at a time, with any `concurrency`, beside new ones."""
    queues = queueing.queues(concurrency=3)
    again: list[str] = []
    before_new: list[int] = []
    may_end = asyncio.Event()

    @queues.handle(queueing.work)
    async def work(action: DomainAction) -> None:
        if action.payload:
            before_new.append(len(again))
            may_end.set()
        else:
            again.append(action.action_id)
            await may_end.wait()

    left = [queueing.action() for _ in range(2)]
    await queueing.send(*left)
    queueing.redis("XGROUP", "CREATE", queueing.work, SERVICE, "0")
    queueing.redis("XREADGROUP", "GROUP", SERVICE, "gone", "STREAMS", queueing.work, ">")
    async with queues:
        await queueing.until(lambda: again)
        await queueing.send(queueing.action(payload={"n": 1}))
        await queueing.until_done()
    assert before_new == [1]
    assert again == [each.action_id for each in left]


async def test_nothing_ambient_in_a_consumer(
    queueing: Queueing, store: LocalStore, ref: ContextRef
) -> None:
    """A context that is current at the consumer's start is in no handler, and in no reply.

    That includes redelivered actions.
    """
    queues = queueing.queues(max_deliveries=2)
    seen: list[object] = []

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> None:
        seen.append(current_ref())
        raise ZeroDivisionError

    await queueing.send(queueing.action())
    with use_context(store.client.resolve(ref)):
        async with queues:
            await queueing.until(lambda: queueing.sent(queueing.results))
    assert seen == [None, None]
    assert queueing.sent(queueing.results)[0].context_ref is None


async def test_a_consumer_that_stops_ends_its_work(queueing: Queueing) -> None:
    """At its end, the block waits for running handlers, however long, and acknowledges them."""
    queues = queueing.queues()
    begun = asyncio.Event()
    number = 0

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> dict[str, Any]:
        nonlocal number
        number += 1
        begun.set()
        await asyncio.sleep(3 * SOON)
        return {}

    await queueing.send(queueing.action())
    async with queues:
        await begun.wait()
    assert number == 1
    assert len(queueing.sent(queueing.results)) == 1
    assert queueing.pending() == 0


async def test_what_cannot_be_registered(queueing: Queueing) -> None:
    """A queue has one handler, a coroutine function; limits are positive."""
    queues = queueing.queues()

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> None: ...

    plain: Any = len  # not a coroutine function
    with pytest.raises(ValueError, match="has a handler already"):
        queues.handle(queueing.work)
    with pytest.raises(TypeError, match="coroutine function"):
        queues.handle(queueing.results)(plain)
    for option in ("redeliver_after", "max_deliveries", "concurrency"):
        none: Any = {option: 0}
        with pytest.raises(ValueError, match="must be positive"):
            queueing.queues(**none)
