"""The owner of agents' configuration: saves it, and tells every service by one Put."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, NotFoundError

STORE = "localhost:7390"

Config = Mapping[str, Any]
DATABASE: dict[tuple[str, str], Config] = {}
"""The original of each configuration. The store has copies that live for minutes."""


async def load(key: ContextKey) -> ExecutionContext:
    """The context of an agent that the store does not have: a loader, for every client.

    All processes that miss an entry wait for one of them, so the database is asked once.
    """
    config = DATABASE[key.tenant_id, key.id]
    return ExecutionContext.model_validate({"agent_id": key.id, **config})


def client() -> AsyncContextClient:
    """A client that makes missing entries of agents. Each service of the platform has one."""
    return AsyncContextClient(STORE, loaders={"agent_config": load})


async def save(contexts: AsyncContextClient, tenant: str, agent: str, config: Config) -> None:
    """Save a configuration. When this returns, every read of the store has it."""
    DATABASE[tenant, agent] = config
    key = ContextKey("agent_config", tenant, agent)
    await contexts.put(key, await load(key))


async def change_model(contexts: AsyncContextClient, tenant: str, agent: str, model: str) -> None:
    """Change one value, and leave the rest of the entry."""
    before = DATABASE[tenant, agent]
    DATABASE[tenant, agent] = {**before, "llm_config": {**before["llm_config"], "model": model}}
    with suppress(NotFoundError):  # its time to live is over: the next reader loads it
        key = ContextKey("agent_config", tenant, agent)
        await contexts.update(key, {"llm_config": {"model": model}})


async def remove(contexts: AsyncContextClient, tenant: str) -> None:
    """Forget a tenant: all of its entries end in one step, in every process."""
    for key in [each for each in DATABASE if each[0] == tenant]:
        del DATABASE[key]
    await contexts.invalidate_tenant(tenant)


async def main() -> None:
    """Save a configuration, and change it."""
    async with client() as contexts:
        await save(contexts, "acme", "support", {"llm_config": {"model": "m-1"}})
        await change_model(contexts, "acme", "support", "m-2")
        entry = await contexts.resolve(ContextKey("agent_config", "acme", "support"))
        print(entry.context.llm_config["model"], "from", entry.source.value)


if __name__ == "__main__":
    asyncio.run(main())
