"""A platform that moves from plain Redis to Relevo, by the code of docs/from-plain-redis.md."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from relevo_client import ContextKey
from relevo_server.server import Server

from support.pages import Name, Page
from support.servers.command import Outcome, relevo

PAGE = Page("from-plain-redis.md")

PLAIN = Name("Where such platforms stand")
IMPORTS = Name("Where such platforms stand", "Imports")
CLIENT = Name("A store beside what is there", "After")
OWNER, EDGE, WORKER, QUEUES, SERVICE, TURN = (
    "The owner puts what it changes",
    "The edge",
    "Workers, one by one",
    "With FastStream",
    "gRPC services",
    "Turns that keep what they began with",
)
POLICY = Name("No old keys, no defaults", "After")
BEFORE, AFTER = "Before", "After"

AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")
WHO: dict[str, Any] = {"tenant_id": "acme", "agent_id": "support", "conversation_id": "c-1"}
HEADERS = {f"X-{name.removesuffix('_id').title()}-ID": value for name, value in WHO.items()}
QUEUE = "execution.agent_run"

Run = Callable[..., Awaitable[Any]]
"""Runs blocks of the page as a process of the platform does, with the imports and names."""


def config(model: str) -> dict[str, Any]:
    """An agent's configuration."""
    return {"llm_config": {"model": model}}


async def ask_edge(edge: Any) -> httpx.Response:
    """One turn, as a browser sends it."""
    transport = httpx.ASGITransport(edge.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as browser:
        return await browser.post("/turn", json={"text": "Hello"}, headers=HEADERS)


async def turn(edge: Any, redis: Any) -> str:
    """One turn: the message that is in the queue then."""
    answer = await ask_edge(edge)
    assert answer.status_code == 202, answer.text
    return await taken(redis)


async def taken(redis: Any) -> str:
    """The next message of the queue."""
    message = await redis.lpop(QUEUE)
    assert isinstance(message, str)
    return message


async def change(run: Run, model: str) -> None:
    """The owner changes the agent, by the code of step 2."""
    owner = await run(Name(OWNER, AFTER))
    await owner.save("acme", "support", config(model))


async def command(server: Server, *arguments: str) -> Outcome:
    """The `relevo` command, beside the server that runs here."""
    return await asyncio.to_thread(
        relevo, *arguments, environment={"RELEVO_SERVER": server.address}
    )
