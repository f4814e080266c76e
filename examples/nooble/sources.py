"""Where the services have an agent's configuration from: one class for each mode."""

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from redis.asyncio import Redis
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    UnavailableError,
    require_context,
    use_context,
)

from nooble.loading import beginning
from nooble.management import Management
from nooble.settings import PlainSettings, Settings
from nooble.who import Who, identity_of

CONVERSATION = "conversation"
CONVERSATION_TTL = 1800


class Source(Protocol):
    """What a service asks for the configuration that it is to work with."""

    def turn(self, who: Who) -> AbstractAsyncContextManager[Settings]:
        """The configuration for a turn that begins here, while it is prepared and sent on."""
        ...

    async def settings(self, who: Who) -> Settings:
        """The configuration for a step of a turn that began elsewhere."""
        ...


class AskedEachTime:
    """`none`: each service asks agent management, each time."""

    def __init__(self, management: Management) -> None:
        self._management = management

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Ask."""
        yield await self.settings(who)

    async def settings(self, who: Who) -> Settings:
        """Ask."""
        return await self._management.settings(who)


class RedisJson:
    """`redis-json`: one JSON text for each conversation in Redis, which each service reads.

    Who finds none asks agent management, and writes it.
    """

    def __init__(self, management: Management, redis: "Redis") -> None:
        self._management = management
        self._redis = redis

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Read it."""
        yield await self.settings(who)

    async def settings(self, who: Who) -> Settings:
        """Read it."""
        name = f"context:{who.tenant_id}:{who.conversation_id}"
        text = await self._redis.get(name)
        if text is not None:
            return PlainSettings.model_validate(json.loads(text))
        settings = await self._management.settings(who)
        await self._redis.set(name, json.dumps(settings.model_dump()), ex=CONVERSATION_TTL)
        return settings


class Relevo:
    """`relevo`: a turn begins with a snapshot of its conversation, and every service has that."""

    def __init__(self, contexts: AsyncContextClient) -> None:
        self._contexts = contexts
        self._begin = beginning(contexts)
        self._latest: dict[ContextKey, ContextEntry] = {}

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Make current what the conversation is now, with every change that was acknowledged.

        Nobody is asked for that: agent management acknowledges a change when no cache has the
        old state any more (see `wiring.STALENESS`).
        While the store cannot be asked, the conversation goes on with what it had last.
        Where the store has lost the conversation, it is made again of who is in it.
        """
        key = ContextKey(CONVERSATION, who.tenant_id, who.conversation_id)
        try:
            entry = await self._resolved(key, who)
            self._latest[key] = entry = await self._contexts.snapshot(entry)
        except UnavailableError:
            if key not in self._latest:
                raise
            entry = self._latest[key]
        with use_context(entry):
            yield entry.context

    async def _resolved(self, key: ContextKey, who: Who) -> ContextEntry:
        try:
            return await self._contexts.resolve(key)
        except NotFoundError:
            identity = ExecutionContext.model_validate(identity_of(who))
            await self._contexts.get_or_create(key, lambda _: self._begin(identity))
            return await self._contexts.resolve(key)

    def forget(self, who: Who) -> None:
        """The conversation's connection has ended."""
        self._latest.pop(ContextKey(CONVERSATION, who.tenant_id, who.conversation_id), None)

    async def settings(self, who: Who) -> Settings:  # noqa: ARG002 - it is current
        """What is current: nobody is asked."""
        return require_context()
