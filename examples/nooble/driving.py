"""The frontend's part of the measured run: holds conversations, and changes configurations."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
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
    """The platform does not go on."""


IN_FLIGHT = 2
"""Turns that are under way at a time, of all conversations. With more than a small machine has
cores, the time of a turn would be that of the machine's queue."""


class Driver:
    """Plays laps on a running platform. Use with `async with`; it has a record in the end."""

    def __init__(self, platform: Nooble) -> None:
        self.record = Record(platform.wiring.mode)
        self._platform = platform
        self._stack = AsyncExitStack()
        self._open: dict[Talk, ClientConnection] = {}
        self._changing: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def __aenter__(self) -> Self:
        """Connect to agent management, and to the Redis whose commands are counted."""
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

    async def play(self, number: int, lap: Lap, told: Callable[[], None]) -> None:
        """Play one lap. `told` is called after each turn. Raises DrivingError.

        The change in its midst may be acknowledged later.
        """
        half = asyncio.Event()
        done = 0

        def tell() -> None:
            nonlocal done
            done += 1
            if done >= lap.turns // 2:
                half.set()
            told()

        async def change() -> None:
            await half.wait()
            await self.settle()
            self._changing = asyncio.create_task(self.change(lap.changed, lap.changes))

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(change())
                for part in lap.parts:
                    group.create_task(self._play(number, part, tell))
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
        """Have agent management change a configuration."""
        response = await self._management.patch(f"/configurations/{key.text}", json=changes)
        response.raise_for_status()
        version = response.json()["version"]
        self.record.changes.append(Change(key.text, version, time.monotonic()))

    async def count(self) -> None:
        """Note how often agent management was asked, and Redis."""
        counts = (await self._management.get("/counts")).json()
        self.record.management_calls = counts["reads"]
        commands = await self._redis.info("commandstats")
        self.record.redis_calls = sum(commands.get(name, {"calls": 0})["calls"] for name in _ASKED)

    async def _play(self, number: int, part: Part, tell: Callable[[], None]) -> None:
        connection = self._open.get(part.talk) or await self._connect(part.talk)
        for text in part.texts:
            async with self._room:
                began = time.monotonic()
                await connection.send(text)
                answer = json.loads(await connection.recv())
                seconds = time.monotonic() - began
            seen = list(all_of(answer.get(SEEN, ())))
            turn = Turn(
                number, part.talk.conversation_id, began, seconds, seen, answer.get("error", "")
            )
            self.record.turns.append(turn)
            tell()
        if part.is_last:
            await self._open.pop(part.talk).close()

    async def _connect(self, talk: Talk) -> ClientConnection:
        url = f"ws://{self._platform.orchestrator}/conversation"
        connecting = connect(url, additional_headers=talk.headers)
        connection = await self._stack.enter_async_context(connecting)
        self._open[talk] = connection
        return connection


_ASKED = ("cmdstat_get", "cmdstat_set", "cmdstat_evalsha", "cmdstat_xread")
"""What Redis is asked. What a script does within Redis is counted there too, and not here."""
