"""What tests of turns share: a backend whose writes are held, calls that are counted, contexts."""

import asyncio
import random
from typing import Any

import pytest
from relevo_client import ContextEntry, ContextKey, ExecutionContext
from relevo_server.errors import StoreError
from relevo_server.storage import Storage
from relevo_server.storage.interface import Write, Written

from support.clients.either import KEY, Either
from support.servers.shapes import Kind

AGENT = ContextKey("agent_config", "acme", "a1")
LARGE = {"prompt": random.Random(14).randbytes(6000).hex()}  # noqa: S311 - the same each time
"""A value that does not compress to what travels with calls."""
METHODS = ("get", "put", "snapshot", "lease")
"""The calls that are counted."""


class Held:
    """The backend's writes of snapshots, which wait while they are held."""

    def __init__(self, storage: Storage, patch: pytest.MonkeyPatch) -> None:
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.waiting = 0
        """The number of writes that wait."""
        self.error: StoreError | None = None
        """What writes of snapshots end with."""
        self._write = storage.write
        patch.setattr(storage, "write", self.write)

    async def write(self, write: Write) -> Written:
        """Write an entry."""
        if write.key.scope == "snapshot":
            self.waiting += 1
            await self.may_go_on.wait()
            self.waiting -= 1
            if self.error:
                raise self.error
        return await self._write(write)


class Sent:
    """The calls that the clients of this process have sent, by method."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def clear(self) -> None:
        """Forget the calls so far."""
        self.calls.clear()


async def write(client: Either, **fields: Any) -> None:
    """A conversation that includes an agent."""
    agent = ExecutionContext(llm_config={"model": "old", "top_p": 1})
    await client.ask(lambda c: c.put(AGENT, agent))
    head = ExecutionContext(user_id="u", llm_config={"top_p": 2}, includes=(AGENT,), **fields)
    await client.ask(lambda c: c.put(KEY, head))


def factory_for(kind: Kind, context: ExecutionContext) -> Any:
    """A factory that returns this context."""

    async def aio_factory(_: ContextKey) -> ExecutionContext:
        return context

    def factory(_: ContextKey) -> ExecutionContext:
        return context

    return aio_factory if kind == "asyncio" else factory


async def turn_of(client: Either, target: Any = KEY, **options: Any) -> ContextEntry:
    """The entry with which a turn begins."""
    entry: ContextEntry = await client.ask(lambda c: c.turn_entry(target, **options))
    return entry
