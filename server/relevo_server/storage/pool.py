"""Connections to one Redis server, each for one command at a time.

What redis-py's own pool and client do around a command takes more CPU than all
the rest of a Get; here it is little more than a write, a read and a timer.
"""

import asyncio
from typing import Any

import hiredis
from redis.asyncio import connection

from relevo_server.deadline import earliest

Argument = str | bytes | int

# Libraries whose types are only half known.
_hiredis: Any = hiredis
_redis: Any = connection

_INCOMPLETE = object()


class Pool:
    """Opens connections as they are needed, and keeps them.

    A command that is cancelled, or not answered in time, takes its connection
    with it: no answer can ever reach another command.
    """

    def __init__(self, url: str, *, timeout: float, max_connections: int) -> None:
        # redis-py reads the URL; the connections are made here.
        self._target = _redis.ConnectionPool.from_url(url).make_connection()
        self._timeout = timeout
        # The last one used comes first; None is room for another one.
        self._free: asyncio.LifoQueue[_Line | None] = asyncio.LifoQueue()
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
                    line = await self._open(end)
            return await line.ask(words, end)
        finally:
            self._free.put_nowait(line)

    async def aclose(self) -> None:
        """Close the connections."""
        while not self._free.empty():
            line = self._free.get_nowait()
            if line:
                await line.close()

    async def _open(self, end: float) -> "_Line":
        loop = asyncio.get_running_loop()
        target = self._target
        if isinstance(target, _redis.UnixDomainSocketConnection):
            _, line = await loop.create_unix_connection(_Line, target.path)
        else:
            tls = target.ssl_context.get() if isinstance(target, _redis.SSLConnection) else None
            _, line = await loop.create_connection(_Line, target.host, target.port, ssl=tls)
        try:
            if target.password:
                await line.ask(("AUTH", target.username or "default", target.password), end)
            if target.db:
                await line.ask(("SELECT", target.db), end)
        except BaseException:
            await line.close()
            raise
        return line


class _Line(asyncio.Protocol):
    """One connection, until it ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader = _hiredis.Reader(
            replyError=_redis.DefaultParser.parse_error, notEnoughData=_INCOMPLETE
        )
        self._answer: asyncio.Future[Any] | None = None
        self._ended = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether it cannot be used any more."""
        return self._transport.is_closing()

    async def ask(self, words: tuple[Argument, ...], end: float) -> Any:
        """Send a command, and wait for its answer until `end`."""
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_at(end, self._give_up, "Redis did not answer in time")
        self._transport.write(_hiredis.pack_command(words))
        try:
            return await answer
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Close it."""
        self._transport.abort()
        await self._ended.wait()

    def connection_made(self, transport: Any) -> None:
        """Take what is needed to send."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer, when the answer is complete."""
        self._reader.feed(data)
        content = self._reader.gets()
        if content is _INCOMPLETE:
            return
        if self._answer is None or self._answer.done():
            self._give_up("Redis answered what it was not asked")
        elif isinstance(content, Exception):
            self._answer.set_exception(content)
        else:
            self._answer.set_result(content)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Tell who waits."""
        self._give_up("the connection to Redis was lost")
        self._ended.set()

    def _give_up(self, why: str) -> None:
        self._transport.abort()
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError(why))
