"""The sources of an agent's configuration: one class for each mode."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from redis.asyncio import Redis
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextSource,
    ExecutionContext,
    current_entry,
    require_context,
)

from nooble import steps
from nooble.loading import beginning
from nooble.management import Management
from nooble.settings import PlainSettings, Settings
from nooble.who import Who, identity_of

CONVERSATION = "conversation"
CONVERSATION_TTL = 1800
READ_AT = "read_at"
"""The member of a JSON text in Redis that has the time at which its settings were requested."""


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
        settings = await self._management.settings(who)
        steps.settle("management", time.time())
        return settings


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
            copy = json.loads(text)
            settings = PlainSettings.model_validate(copy)
            steps.settle("redis", copy.get(READ_AT))
            return settings
        settings = await self._management.settings(who)
        now = time.time()
        copy = {**settings.model_dump(), READ_AT: now}
        await self._redis.set(name, json.dumps(copy), ex=CONVERSATION_TTL)
        steps.settle("management", now)
        return settings


class Relevo:
    """Mode `relevo`: all services of a turn use one snapshot of its conversation."""

    def __init__(self, contexts: AsyncContextClient) -> None:
        self._contexts = contexts
        self._begin = beginning(contexts)

    @asynccontextmanager
    async def turn(self, who: Who) -> AsyncGenerator[Settings]:
        """Make a snapshot of the conversation current, with every acknowledged change.

        This waits for no call to the store: agent management acknowledges a change only when no
        cache has the old version any more (see `wiring.STALENESS`). While the store is
        unavailable, the conversation continues with its last known state. If the store has lost
        the conversation, it is created again from its identity.
        """
        key = ContextKey(CONVERSATION, who.tenant_id, who.conversation_id)

        async def begin(_: ContextKey) -> ExecutionContext:
            return await self._begin(ExecutionContext.model_validate(identity_of(who)))

        async with self._contexts.turn(key, begin=begin, last_known=True) as context:
            _settle()
            yield context

    async def settings(self, who: Who) -> Settings:  # noqa: ARG002 - the context is current
        """The current context, without a request."""
        context = require_context()
        _settle()
        return context


def _settle() -> None:
    entry = current_entry()
    steps.settle(entry.source.value if entry else ContextSource.FALLBACK.value)
