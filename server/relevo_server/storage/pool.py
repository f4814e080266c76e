"""Connections to one Redis server, each for one command at a time.

What redis-py's own pool and client do around a command takes more CPU than all
the rest of a Get; here it is little more than a write, a read and a timer.
"""

import asyncio
from typing import Any, Protocol

from relevo_server.deadline import earliest
from relevo_server.storage.line import Argument, Line


class Endpoint(Protocol):
    """What a pool opens connections to: a fixed server, or the master of the moment."""

    async def open(self, end: float) -> Line:
        """A connection that may be used. Raises RedisError or OSError."""
        ...

    async def aclose(self) -> None:
        """Let go of what it takes to know the server."""
        ...


class Pool:
    """Opens connections as they are needed, and keeps them.

    A command that is cancelled, or not answered in time, takes its connection
    with it: no answer can ever reach another command.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float, max_connections: int) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        # The last one used comes first; None is room for another one.
        self._free: asyncio.LifoQueue[Line | None] = asyncio.LifoQueue()
        for _ in range(max_connections):
            self._free.put_nowait(None)

    async def execute_command(self, *words: Argument) -> Any:
        """Send one command. Raises RedisError, OSError or TimeoutError."""
        end = earliest(asyncio.get_running_loop().time() + self._timeout)
        if self._free.empty():
            async with asyncio.timeout_at(end):
                line = await self._free.get()
        else:
            line = self._free.get_nowait()
        try:
            if line is None or line.is_closed:
                async with asyncio.timeout_at(end):
                    line = await self._endpoint.open(end)
            return await line.ask(words, end)
        finally:
            self._free.put_nowait(line)

    async def aclose(self) -> None:
        """Close the connections."""
        while not self._free.empty():
            line = self._free.get_nowait()
            if line:
                await line.close()
