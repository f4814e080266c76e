"""The old way, a store beside it, and the owner's Puts: steps 1 and 2."""

import asyncio
import json
from typing import Any

from redis.asyncio import Redis
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.pages import Name
from support.platform.moving import (
    AFTER,
    AGENT,
    BEFORE,
    CLIENT,
    CONVERSATION,
    EDGE,
    IMPORTS,
    OWNER,
    PAGE,
    PLAIN,
    POLICY,
    QUEUES,
    SERVICE,
    TURN,
    WHO,
    WORKER,
    Run,
    change,
    command,
    config,
)
from support.platform.plain import Agents


def test_all_code_of_the_page_is_run() -> None:
    """Every block of the page is run by a test here."""
    steps = (OWNER, EDGE, WORKER, QUEUES, SERVICE, TURN)
    pairs = {Name(step, label) for step in steps for label in (BEFORE, AFTER)}
    assert PAGE.blocks.keys() == {PLAIN, IMPORTS, CLIENT, POLICY} | pairs


async def test_where_platforms_stand(run: Run, redis: "Redis", agents: Agents) -> None:
    """With plain Redis, a copy is outdated, each miss asks again, and a default hides a failure."""
    plain = await run()
    action = {**WHO, "context_cache_key": CONVERSATION.text}

    async def model() -> str:
        settings = await plain.settings_of(action)
        name: str = settings.llm_config["model"]
        return name

    assert [await model(), await model(), agents.asked] == ["m-1", "m-1", 2]
    agents.is_away = True
    assert await model() == "m-default"
    await redis.set(CONVERSATION.text, json.dumps({**WHO, **config("m-1")}))
    await agents.save("acme", "support", config("m-2"))
    assert await model() == "m-1"


async def test_a_store_beside_what_is_there(
    run: Run, redis: Any, server: Server, settings: Settings, agents: Agents
) -> None:
    """Step 1: the store does not touch the old keys, and agents are loaded once for all clients."""
    await redis.set(CONVERSATION.text, "old")
    assert (await command(server, "get", AGENT.text)).code == 3

    clients = [(await run()).contexts for _ in range(3)]
    found = await asyncio.gather(*(contexts.resolve(AGENT) for contexts in clients))
    assert [entry.context.llm_config["model"] for entry in found] == ["m-1"] * 3
    assert agents.asked == 1

    assert await redis.get(CONVERSATION.text) == "old"
    names: list[str] = await redis.keys()
    assert len(names) > 1
    assert all(settings.store_prefix in name for name in names if name != CONVERSATION.text)


async def test_the_owner(run: Run, redis: "Redis", server: Server) -> None:
    """Step 2: a saved agent is in the store at once; before, conversations keep their copies."""
    await redis.set("agent:acme:support", "old")
    text = json.dumps({**WHO, **config("m-1")})
    await redis.set(CONVERSATION.text, text)
    before = await run(Name(OWNER, BEFORE))
    await before.save("acme", "support", config("m-2"))
    assert await redis.get("agent:acme:support") is None
    assert await redis.get(CONVERSATION.text) == text

    reader = (await run()).contexts
    assert (await reader.resolve(AGENT)).context.llm_config == {"model": "m-2"}
    await change(run, "m-3")
    assert (await reader.resolve(AGENT, fresh=True)).context.llm_config == {"model": "m-3"}
    shown = await command(server, "get", AGENT.text)
    assert shown.json["entry"]["context"]["llm_config"] == {"model": "m-3"}


async def test_the_other_ways_of_the_owner(run: Run, agents: Agents) -> None:
    """Step 2: an update changes one value, and after an invalidate, the database is read again."""
    reader, owner = (await run()).contexts, (await run()).contexts
    await change(run, "m-2")
    await owner.update(AGENT, {"llm_config": {"temperature": 0.5}})
    found = await reader.resolve(AGENT, fresh=True)
    assert found.context.llm_config == {"model": "m-2", "temperature": 0.5}

    await agents.save("acme", "support", config("m-3"))
    await owner.invalidate(AGENT)
    found = await reader.resolve(AGENT, fresh=True)
    assert found.context.llm_config == {"model": "m-3"}
