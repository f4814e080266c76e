"""Connections to one Redis server, each for one command at a time.

What redis-py's own pool and client do around a command takes more CPU than all
the rest of a Get; here it is little more than a write, a read and a timer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis import exceptions as redis_errors

from relevo_server.deadline import earliest
from relevo_server.storage.redis.connection import Argument, Line


class Pool:
    """Opens connections as they are needed, and keeps them.

    A command that is cancelled, or not answered in time, takes its connection
    with it: no answer can ever reach another command.

    `open_line` opens a connection that may be used, until a time of the loop; what
    it raises, a command raises.
    """

    def __init__(
        self,
        open_line: Callable[[float], Awaitable[Line]],
        *,
        timeout: float,
        max_connections: int,
    ) -> None:
        self._open = open_line
        self._timeout = timeout
        # The last one used comes first; None is room for another one.
        self._free: asyncio.LifoQueue[Line | None] = asyncio.LifoQueue()
        for _ in range(max_connections):
            self._free.put_nowait(None)

    async def execute_command(self, *words: Argument) -> Any:
        """Send one command. Raises RedisError, OSError or TimeoutError."""
        return await self.send(words, earliest(asyncio.get_running_loop().time() + self._timeout))

    async def send(self, words: tuple[Argument, ...], end: float, *, asking: bool = False) -> Any:
        """Send one command, with an end of the caller's; `asking` is what ASK asks for."""
        if self._free.empty():
            async with asyncio.timeout_at(end):
                line = await self._free.get()
        else:
            line = self._free.get_nowait()
        try:
            if line is None or line.is_closed:
                async with asyncio.timeout_at(end):
                    line = await self._open(end)
            if asking:
                await line.ask(("ASKING",), end)
            return await line.ask(words, end)
        finally:
            self._free.put_nowait(line)

    async def execute_everywhere(self, *words: Argument) -> list[Any]:
        """Send one command: its answer, or nothing if it is refused or the server is away."""
        try:
            return [await self.execute_command(*words)]
        except (OSError, redis_errors.RedisError):
            return []

    async def aclose(self) -> None:
        """Close the connections."""
        while not self._free.empty():
            line = self._free.get_nowait()
            if line:
                await line.close()
