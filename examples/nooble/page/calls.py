"""Counts the calls that configuration costs: of agent management, the store and Redis."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Self

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from nooble.driving import commands_of, reads_of
from nooble.page.turns import Calls
from nooble.steps import Step
from nooble.wiring import Wiring

_PATIENCE = 0.5
"""Seconds after which a server counts as away."""


class CallCounter:
    """The counts of a platform so far. Use with `async with`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._stack = AsyncExitStack()
        self._store: dict[int, int] = {}
        """The calls to the store of each process, by its id."""

    async def __aenter__(self) -> Self:
        """Connect on demand."""
        self._management = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self._wiring.management, timeout=_PATIENCE)
        )
        # redis-py's types are not complete.
        redis: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            self._wiring.redis, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
        )
        self._redis = await self._stack.enter_async_context(redis)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._stack.aclose()

    def hear(self, step: Step) -> None:
        """Take the count of the step's process."""
        self._store[step.pid] = max(step.store_calls, self._store.get(step.pid, 0))

    @property
    def store(self) -> int:
        """The calls of services to the store, as far as their steps have told."""
        return sum(self._store.values())

    async def counted(self) -> Calls:
        """All counts so far."""
        management, redis = await asyncio.gather(self._reads(), self._commands())
        return Calls(management, self.store, redis)

    async def _reads(self) -> int | None:
        try:
            return await reads_of(self._management)
        except (httpx.HTTPError, ValueError):
            return None

    async def _commands(self) -> int | None:
        try:
            return await commands_of(self._redis)
        except (RedisError, OSError):
            return None
