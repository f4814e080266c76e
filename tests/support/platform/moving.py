"""A platform that migrates from plain Redis to Relevo with the code of docs/from-plain-redis.md."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from relevo_client import ContextKey
from relevo_server.server import Server

from support.pages import Name, Page
from support.servers.command import relevo
from support.servers.outcome import Outcome

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
"""Runs blocks of the page as one process of the platform, with its imports and names."""


def config(model: str) -> dict[str, Any]:
    """An agent's configuration."""
    return {"llm_config": {"model": model}}


async def ask_edge(edge: Any) -> httpx.Response:
    """Send one turn, as a browser does."""
    transport = httpx.ASGITransport(edge.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as browser:
        return await browser.post("/turn", json={"text": "Hello"}, headers=HEADERS)


async def turn(edge: Any, redis: Any) -> str:
    """Send one turn, and return its message in the queue."""
    answer = await ask_edge(edge)
    assert answer.status_code == 202, answer.text
    return await taken(redis)


async def taken(redis: Any) -> str:
    """Take the next message of the queue."""
    message = await redis.lpop(QUEUE)
    assert isinstance(message, str)
    return message


async def change(run: Run, model: str) -> None:
    """Change the agent as its owner, with the code of step 2."""
    owner = await run(Name(OWNER, AFTER))
    await owner.save("acme", "support", config(model))


async def command(server: Server, *arguments: str) -> Outcome:
    """Run the `relevo` command against the server in this process."""
    return await asyncio.to_thread(
        relevo, *arguments, environment={"RELEVO_SERVER": server.address}
    )
