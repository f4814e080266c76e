"""The edge and the workers move one by one: steps 3 and 4."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from faststream.redis import RedisBroker
from pydantic import ValidationError
from redis.asyncio import Redis
from relevo_client import AsyncContextClient, ContextKey, RelevoError, use_context
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.pages import Name
from support.platform.moving import (
    AFTER,
    AGENT,
    BEFORE,
    CONVERSATION,
    EDGE,
    QUEUES,
    WHO,
    WORKER,
    Run,
    ask_edge,
    change,
    command,
    config,
    turn,
)
from support.platform.plain import Agents
from support.waiting import until_async


async def test_the_edge(run: Run, redis: "Redis", server: Server, agents: Agents) -> None:
    """Step 3: before, a conversation keeps its copy; after, each turn has the current agent."""
    before, plain = await run(Name(EDGE, BEFORE)), await run(Name(WORKER, BEFORE))
    assert await plain.work(await turn(before, redis)) == "m-1"
    await change(run, "m-2")
    assert await plain.work(await turn(before, redis)) == "m-1"

    after = await run(Name(EDGE, AFTER))
    assert await plain.work(await turn(after, redis)) == "m-2"
    asked = agents.asked
    await change(run, "m-3")

    async def is_changed() -> bool:
        model: str = await plain.work(await turn(after, redis))
        return model == "m-3"

    async def is_local() -> bool:
        contexts: AsyncContextClient = after.contexts
        hits, misses = contexts.cache_counts.hits, contexts.cache_counts.misses
        for _ in range(3):
            await turn(after, redis)
        counts = contexts.cache_counts
        return counts.hits > hits and counts.misses == misses

    await until_async(is_changed, what="the change, in a turn")
    await until_async(is_local, what="turns for which nobody is asked")
    assert agents.asked == asked
    shown = await command(server, "get", CONVERSATION.text, "--layers")
    assert shown.code == 0


async def test_actions_keep_their_names(run: Run, redis: "Redis") -> None:
    """Step 3: an action's JSON has the same names as before, and the revision beside them."""
    old = json.loads(await turn(await run(Name(EDGE, BEFORE)), redis))
    new = json.loads(await turn(await run(Name(EDGE, AFTER)), redis))
    assert old.keys() <= new.keys()
    same = old.keys() - {"action_id"}
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert new["context_revision"].isdecimal()


async def test_conversations_that_are_under_way(run: Run, redis: "Redis") -> None:
    """Step 3: an open conversation keeps its own values, and loses its copy of the agent."""
    await redis.set(CONVERSATION.text, json.dumps({**WHO, **config("m-0"), "session_id": "s-1"}))
    edge, plain = await run(Name(EDGE, AFTER)), await run(Name(WORKER, BEFORE))
    assert await plain.work(await turn(edge, redis)) == "m-1"
    entry = await edge.contexts.resolve(CONVERSATION)
    assert entry.context.session_id == "s-1"
    assert entry.context.includes == (AGENT,)


async def test_an_agent_that_nobody_knows(run: Run) -> None:
    """Step 3: a turn with an unknown agent is an error at the edge, and no action is sent."""
    edge = await run(Name(EDGE, AFTER))
    edge.agents.is_away = True
    answer = await ask_edge(edge)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "INCOMPLETE")


@pytest.mark.parametrize("label", [BEFORE, AFTER])
async def test_old_and_new_workers_read_the_same_action(
    run: Run, redis: "Redis", label: str
) -> None:
    """Step 4: old and new workers handle an action of the old or new edge in the same way."""
    edge = await run(Name(EDGE, label))
    message = await turn(edge, redis)
    workers = [await run(Name(WORKER, each)) for each in (BEFORE, AFTER)]
    assert [await worker.work(message) for worker in workers] == ["m-1", "m-1"]


async def test_workers_see_changes(run: Run, redis: "Redis") -> None:
    """Step 4: an action that waits during a change of the agent is handled with the change."""
    message = await turn(await run(Name(EDGE, AFTER)), redis)
    before, after = [await run(Name(WORKER, each)) for each in (BEFORE, AFTER)]
    assert [await before.work(message), await after.work(message)] == ["m-1", "m-1"]
    await change(run, "m-2")

    async def is_changed() -> bool:
        model: str = await after.work(message)
        return model == "m-2"

    await until_async(is_changed, what="the change, at the worker")
    assert await before.work(message) == "m-1"


async def test_names_of_texts(run: Run, redis: "Redis") -> None:
    """Step 3: a key's text has three encoded parts; a new worker refuses any other text."""
    action = {**json.loads(await turn(await run(Name(EDGE, BEFORE)), redis)), **WHO}
    worker = await run(Name(WORKER, AFTER))
    await redis.set("context:acme:a%20b", json.dumps({**WHO, **config("m-5")}))
    assert ContextKey("context", "acme", "a b").text == "context:acme:a%20b"
    named = {**action, "context_cache_key": "context:acme:a%20b"}
    assert await worker.work(json.dumps(named)) == "m-5"
    with pytest.raises(ValidationError, match="scope:tenant_id:id"):
        await worker.work(json.dumps({**action, "context_cache_key": "ctx:c-1"}))


async def test_workers_without_anything_to_work_with(run: Run, redis: "Redis") -> None:
    """Step 4: if a conversation's data is lost, an old worker uses an invented value."""
    message = await turn(await run(Name(EDGE, BEFORE)), redis)
    await redis.delete(CONVERSATION.text)
    before, after = [await run(Name(WORKER, each)) for each in (BEFORE, AFTER)]
    before.agents.is_away = True
    assert await before.work(message) == "m-default"
    with pytest.raises(RelevoError):
        await after.work(message)


async def test_queues_with_faststream(run: Run, redis: "Redis") -> None:
    """Step 4: old and new workers of one group share a queue, and handle its actions alike."""
    edge = await run(Name(EDGE, AFTER))
    await turn(edge, redis)  # begins the conversation
    replies = asyncio.Queue[DomainAction]()
    callers = ActionQueues(RedisBroker(edge.REDIS), None, service="edge")

    @callers.handle("edge.callback")
    async def callback(action: DomainAction) -> None:
        replies.put_nowait(action)

    async def reply() -> Any:
        async with asyncio.timeout(20):
            action = await replies.get()
        assert action.action_type == "edge.turn.found"
        assert action.context_ref
        assert action.context_ref.key == CONVERSATION
        return action.correlation_id, action.payload["model"]

    entry = await edge.contexts.resolve(CONVERSATION)
    request: Mapping[str, Any] = {
        "action_type": "query.passages.find",
        "callback_queue": "edge.callback",
        "callback_action_type": "edge.turn.found",
        "payload": {"text": "Hello"},
    }
    plain: dict[str, Any] = {**WHO, **request, "context_cache_key": CONVERSATION.text}
    old, new = [await run(Name(WORKER, AFTER), Name(QUEUES, each)) for each in (BEFORE, AFTER)]
    async with callers:
        async with old.broker:
            await old.broker.start()
            with use_context(entry):
                sent = DomainAction(**request)
                await callers.send(sent, "query.search")
            assert await reply() == (sent.action_id, "m-1")
        async with new.queues:
            await old.broker.connect()
            await old.broker.publish({**plain, "action_id": "a-2"}, stream="query.search")
            await old.broker.stop()
            assert await reply() == ("a-2", "m-1")
            by_hand = json.dumps({**plain, "action_id": "a-3"})
            await redis.xadd("query.search", {"data": by_hand})
            assert await reply() == ("a-3", "m-1")
    assert replies.empty()
    group: Any
    (group,) = await redis.xinfo_groups("query.search")
    assert (group["name"], group["pending"]) == ("query", 0)


async def test_while_the_store_is_away(run: Run, redis: "Redis", settings: Settings) -> None:
    """Steps 3 and 4: while the store is unavailable, edge and workers use the JSON text."""
    async with Server(settings) as store:
        edge = await run(Name(EDGE, AFTER), STORE=store.address)
        worker = await run(Name(WORKER, AFTER), STORE=store.address)
        plain = await run(Name(WORKER, BEFORE))
        message = await turn(edge, redis)
        assert await worker.work(message) == "m-1"
    text = json.dumps({**WHO, **config("m-text")})

    async def is_of_text() -> bool:
        await redis.set(CONVERSATION.text, text)
        model: str = await worker.work(message)
        return model == "m-text"

    async def is_of_text_at_the_edge() -> bool:
        await redis.set(CONVERSATION.text, text)
        model: str = await plain.work(await turn(edge, redis))
        return model == "m-text"

    await until_async(is_of_text, within=30, what="work with the text")
    await until_async(is_of_text_at_the_edge, within=30, what="a turn with the text")
