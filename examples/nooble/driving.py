"""The frontend's part of the measured run: it holds conversations and changes configurations."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any, Self

import httpx
from redis.asyncio import Redis
from relevo_client import ContextKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from nooble.observing import SEEN, all_of
from nooble.processes import Nooble
from nooble.records import Change, Record, Turn
from nooble.script import Lap, Part, Talk


class DrivingError(Exception):
    """Raised if the platform does not continue."""


IN_FLIGHT = 2
"""Concurrent turns of all conversations. With more turns than cores, their times would measure
the machine's run queue."""


class Driver:
    """Plays laps on a running platform and records them. Use with `async with`."""

    def __init__(self, platform: Nooble) -> None:
        self.record = Record(platform.wiring.mode)
        self._platform = platform
        self._stack = AsyncExitStack()
        self._open: dict[Talk, ClientConnection] = {}
        self._orchestrators = cycle(platform.orchestrators)
        self._changing: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def __aenter__(self) -> Self:
        """Connect to agent management, and to the Redis server whose commands are counted."""
        wiring = self._platform.wiring
        self._management = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=wiring.management)
        )
        # redis-py's types are not complete.
        redis: Any = Redis.from_url(wiring.redis)  # pyright: ignore[reportUnknownMemberType]
        self._redis = await self._stack.enter_async_context(redis)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._stack.aclose()

    async def play(self, number: int, lap: Lap, on_turn: Callable[[], None]) -> None:
        """Play one lap, and call `on_turn` after each turn. Raises DrivingError.

        The lap's change may be acknowledged after the lap; see `settle`.
        """
        half = asyncio.Event()
        done = 0

        def count_turn() -> None:
            nonlocal done
            done += 1
            if done >= lap.turns // 2:
                half.set()
            on_turn()

        async def change() -> None:
            await half.wait()
            await self.settle()
            self._changing = asyncio.create_task(self.change(lap.changed, lap.changes))

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(change())
                for part in lap.parts:
                    group.create_task(self._play(number, part, count_turn))
        except ExceptionGroup as errors:
            if errors.split((WebSocketException, httpx.HTTPError, OSError))[1]:
                raise
            mode = self._platform.wiring.mode
            why = type(errors.exceptions[0]).__name__
            raise DrivingError(f"the platform of {mode} does not go on: {why}") from errors

    async def settle(self) -> None:
        """Wait until the last change is acknowledged."""
        if self._changing:
            await self._changing

    async def change(self, key: ContextKey, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Request a change of a configuration from agent management."""
        response = await self._management.patch(f"/configurations/{key.text}", json=changes)
        response.raise_for_status()
        version = response.json()["version"]
        self.record.changes.append(Change(key.text, version, time.monotonic()))

    async def count(self) -> None:
        """Record the number of requests to agent management and of commands to Redis."""
        self.record.management_calls = await reads_of(self._management)
        self.record.redis_calls = await commands_of(self._redis)

    async def _play(self, number: int, part: Part, on_turn: Callable[[], None]) -> None:
        connection, connected = self._open.get(part.talk), 0.0
        if connection is None:
            began = time.monotonic()
            connection = await self._connect(part.talk)
            connected = time.monotonic() - began
        for text in part.texts:
            async with self._slots:
                began = time.monotonic()
                await connection.send(text)
                answer = json.loads(await connection.recv())
                seconds = time.monotonic() - began
            self.record.turns.append(
                Turn(
                    number,
                    part.talk.conversation_id,
                    began,
                    seconds,
                    list(all_of(answer.get(SEEN, ()))),
                    answer.get("error", ""),
                    connected,
                )
            )
            connected = 0.0
            on_turn()
        if part.is_last:
            await self._open.pop(part.talk).close()

    async def _connect(self, talk: Talk) -> ClientConnection:
        url = f"ws://{next(self._orchestrators)}/conversation"
        connecting = connect(url, additional_headers=talk.headers)
        connection = await self._stack.enter_async_context(connecting)
        self._open[talk] = connection
        return connection


async def reads_of(management: httpx.AsyncClient) -> int:
    """The requests for a configuration that agent management has had."""
    reads: int = (await management.get("/counts")).json()["reads"]
    return reads


async def commands_of(redis: Any) -> int:
    """The commands of clients that a Redis server has had."""
    commands = await redis.info("commandstats")
    return sum(commands.get(name, {"calls": 0})["calls"] for name in _COUNTED)


_COUNTED = ("cmdstat_get", "cmdstat_set", "cmdstat_evalsha", "cmdstat_xread")
"""The commands that clients send. Redis also counts commands within scripts, which are not ours."""
