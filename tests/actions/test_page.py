"""The code of docs/actions.md works."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextRef,
    ExecutionContext,
    require_context,
)
from relevo_client.actions import DomainAction, QueueLostError
from relevo_client.testing import LocalStore
from support.clients.queueing import Queueing
from support.redis.process import RedisProcess

PAGE = (Path(__file__).parents[2] / "docs" / "actions.md").read_text("utf-8")
EXAMPLE = {"rag_config": {"top_k": 3}}


def code_of(heading: str, language: str = "python") -> str:
    """The first block of code in a section of the page."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


async def run_code(code: str, **names: Any) -> dict[str, Any]:
    """The names that the code defines; it may use `await`."""
    compiled = compile(code, "docs/actions.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(compiled, names)  # noqa: S307 - our own page
    if running is not None:
        await running
    return names


@pytest.fixture
def process() -> Iterator[RedisProcess]:
    """Its own Redis, as the page's queues have names that others may use."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
async def action(store: LocalStore, ref: ContextRef) -> DomainAction:
    """The page's action, with the reference of a context."""
    names = await run_code(code_of("The action"))
    context = ExecutionContext.model_validate({"tenant_id": "acme", **EXAMPLE})
    newer = store.client.put(ref.key, context)
    action: DomainAction = names["action"]
    return action.update(context_ref=newer)


def test_its_json() -> None:
    """The JSON on the page is an action's."""
    action = DomainAction.model_validate_json(code_of("The action", "json"))
    assert action.context_ref is not None
    assert not action.model_extra


async def test_its_block(contexts: AsyncContextClient, action: DomainAction) -> None:
    """Within the block, the context is current."""
    found: list[object] = []

    async def search(config: object, payload: object) -> None:
        found.extend((config, payload))

    start = "from relevo_client import *\nfrom relevo_client.actions import *\n"
    names: dict[str, Any] = {"action": action, "contexts": contexts, "search": search}
    await run_code(start + code_of("Sending and receiving"), **names)
    assert found == [EXAMPLE["rag_config"], {"text": "opening hours"}]


async def test_its_queues(
    process: RedisProcess, contexts: AsyncContextClient, action: DomainAction
) -> None:
    """The page's service handles its actions, and replies."""
    stopped = asyncio.Event()

    async def find(text: str, config: object) -> list[object]:
        stopped.set()
        return [text, config]

    names: dict[str, Any] = {"contexts": contexts, "action": action, "find": find}
    names |= {"stopped": stopped, "redis_url": process.url, "DomainAction": DomainAction}
    await run_code(code_of("With FastStream"), **names)
    with process.client() as client:
        (result,) = Queueing(process.url, "test", client).sent("execution.results")
    assert result.payload == {"hits": ["opening hours", {"top_k": 3}]}


async def test_its_waiting(process: RedisProcess) -> None:
    """The page's waiting code gets the reply, or an error if Redis loses it."""
    with process.client() as client:
        queueing = Queueing(process.url, "test", client)
        queues = queueing.queues()
        begun = asyncio.Event()

        @queues.handle("query.search")
        async def search(action: DomainAction) -> dict[str, Any] | None:
            begun.set()
            return {"found": 1} if action.task_id == "answered" else None

        given = {"asyncio": asyncio, "DomainAction": DomainAction, "queues": queues}
        ask = (await run_code(code_of("Waiting for a reply"), **given))["ask"]
        action = (await run_code(code_of("The action")))["action"]
        async with queues:
            assert (await ask(action.update(task_id="answered"))).payload == {"found": 1}
            begun.clear()
            waiting = asyncio.create_task(ask(action.update(action_id="2")))
            await begun.wait()
            client("FLUSHALL")
            with pytest.raises(QueueLostError):
                await waiting


async def test_its_recipe(
    process: RedisProcess, blocking: ContextClient, action: DomainAction
) -> None:
    """The loop for redis-py handles new and abandoned actions, and acknowledges both."""
    consume = (await run_code(code_of("With redis-py alone")))["consume"]
    library: Any = redis.Redis
    tasks: list[str] = []

    def work(action: DomainAction) -> dict[str, Any]:
        tasks.append(action.task_id)
        return {"top_k": require_context().rag_config["top_k"]}

    def fails(_: DomainAction) -> None:
        raise ZeroDivisionError

    with library.from_url(process.url) as streams:
        streams.xgroup_create("query.search", "query", id="0", mkstream=True)
        for task in ("left", "new"):
            data = action.update(task_id=task).model_dump_json()
            entry = streams.xadd("query.search", {"data": data})
            if task == "left":
                with pytest.raises(ZeroDivisionError):
                    consume(streams, blocking, fails)
                streams.xclaim("query.search", "query", "gone", 0, [entry], idle=61_000)
        consume(streams, blocking, work)
        assert streams.xpending("query.search", "query")["pending"] == 0
        replies = streams.xrange("execution.results")
    assert tasks == ["left", "new"]
    for _, fields in replies:
        assert DomainAction.model_validate_json(fields[b"data"]).payload == {"top_k": 3}
    assert len(replies) == 2
