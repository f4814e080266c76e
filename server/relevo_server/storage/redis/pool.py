"""A pool of connections to one Redis server, each for one command at a time.

redis-py's own pool and client take more CPU for a command than all the rest of a Get;
this one needs little more than a write, a read and a timer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from redis import exceptions as redis_errors

from relevo_server.deadline import earliest
from relevo_server.storage.redis.connection import Argument, Connection

FAILURES = (redis_errors.RedisError, OSError)  # includes TimeoutError
"""The exceptions of commands that fail."""


class Pool:
    """A connection pool that opens connections on demand and keeps them.

    A command that is cancelled or times out closes its connection, so its answer can
    never reach another command.

    `open_connection` opens a connection before the given time of the event loop; the
    command raises its errors. `timeout` is in seconds.
    """

    def __init__(
        self,
        open_connection: Callable[[float], Awaitable[Connection]],
        *,
        timeout: float,
        max_connections: int,
    ) -> None:
        self._open = open_connection
        self._timeout = timeout
        # The last one used comes first; None stands for a connection that is not open yet.
        self._free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        for _ in range(max_connections):
            self._free.put_nowait(None)

    async def execute_command(self, *words: Argument) -> Any:
        """Send one command. Raises RedisError, OSError or TimeoutError."""
        return await self.send(words, earliest(asyncio.get_running_loop().time() + self._timeout))

    async def send(self, words: tuple[Argument, ...], end: float, *, asking: bool = False) -> Any:
        """Send one command before `end`, a time of the event loop.

        `asking` sends ASKING first, as a redirection by ASK requires.
        """
        if self._free.empty():
            async with asyncio.timeout_at(end):
                connection = await self._free.get()
        else:
            connection = self._free.get_nowait()
        try:
            if connection is None or connection.is_closed:
                async with asyncio.timeout_at(end):
                    connection = await self._open(end)
            if asking:
                await connection.execute(("ASKING",), end)
            return await connection.execute(words, end)
        finally:
            self._free.put_nowait(connection)

    async def masters(self) -> Sequence[Self]:
        """The pools of all servers that may be written: this one."""
        return (self,)

    async def aclose(self) -> None:
        """Close the connections."""
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection:
                await connection.close()


async def ask_each(servers: Sequence[Pool], *words: Argument) -> list[Any]:
    """Send one command to each server. Returns the answers; servers that fail have none."""

    async def ask(server: Pool) -> list[Any]:
        try:
            return [await server.execute_command(*words)]
        except FAILURES:
            return []

    return [answer for each in await asyncio.gather(*map(ask, servers)) for answer in each]
