"""The sources of an agent's configuration: one class for each mode."""

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
    """The source from which a service gets the configuration for its work."""

    def turn(self, who: Who) -> AbstractAsyncContextManager[Settings]:
        """Provide the configuration of a turn that begins here, until the turn is sent on."""
        ...

    async def settings(self, who: Who) -> Settings:
        """The configuration for a step of a turn that began elsewhere."""
        ...


class AskedEachTime:
    """Mode `none`: each service requests the configuration from agent management each time."""

    def __init__(self, management: Management) -> None:
        self._management = management

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Request the configuration."""
        yield await self.settings(who)

    async def settings(self, who: Who) -> Settings:
        """Request the configuration."""
        return await self._management.settings(who)


class RedisJson:
    """Mode `redis-json`: each service reads one JSON text for each conversation from Redis.

    If there is none, the service requests it from agent management and writes it.
    """

    def __init__(self, management: Management, redis: "Redis") -> None:
        self._management = management
        self._redis = redis

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Read the configuration."""
        yield await self.settings(who)

    async def settings(self, who: Who) -> Settings:
        """Read the configuration."""
        name = f"context:{who.tenant_id}:{who.conversation_id}"
        text = await self._redis.get(name)
        if text is not None:
            return PlainSettings.model_validate(json.loads(text))
        settings = await self._management.settings(who)
        await self._redis.set(name, json.dumps(settings.model_dump()), ex=CONVERSATION_TTL)
        return settings


class Relevo:
    """Mode `relevo`: all services of a turn use one snapshot of its conversation."""

    def __init__(self, contexts: AsyncContextClient) -> None:
        self._contexts = contexts
        self._begin = beginning(contexts)
        self._latest: dict[ContextKey, ContextEntry] = {}

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Make a snapshot of the conversation current, with every acknowledged change.

        This needs no call to the store: agent management acknowledges a change only when no
        cache has the old version any more (see `wiring.STALENESS`). While the store is
        unavailable, the conversation continues with its last snapshot. If the store has lost
        the conversation, it is created again from its identity.
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
        """Drop a conversation whose connection has ended."""
        self._latest.pop(ContextKey(CONVERSATION, who.tenant_id, who.conversation_id), None)

    async def settings(self, who: Who) -> Settings:  # noqa: ARG002 - the context is current
        """The current context, without a request."""
        return require_context()
