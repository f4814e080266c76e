"""The one connection to a Redis server on which its logs are read, and that tells of their changes.

Redis tracks the keys that scripts and commands of a connection read, if the connection asks for it
(CLIENT TRACKING, made for caches in clients), and tells it once when one of them may have changed.
So nothing blocks on this connection, and one is enough for all logs of a server, whatever their
slots. XREAD BLOCK would take a connection for each slot (decision 42).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, NamedTuple

import hiredis
from redis import exceptions as redis_errors

from relevo_server.deadline import earliest
from relevo_server.logs import log
from relevo_server.storage.redis import rights
from relevo_server.storage.redis.connection import LATE, Argument, Connection, pack

_hiredis: Any = hiredis  # a library whose types are only half known
_INVALIDATE = b"invalidate"
_TRACK = (("HELLO", 3), ("CLIENT", "TRACKING", "ON"))
"""The commands that turn tracking on: it needs the protocol in which Redis speaks unasked."""
_HURRY = 0.05
"""A caller that has so many seconds less than the connection has a timer of its own."""
_REFUSED_FOR = 1.0
"""Seconds between two attempts to turn tracking on, if Redis refuses it."""


class Unchanged:
    """The time from a read of a key to its next change."""

    def __init__(self) -> None:
        self._is_over = False
        self._failure = ""
        self._waiting: set[asyncio.Future[None]] = set()

    def end(self, failure: str = "") -> None:
        """End it: the key may have changed, or nobody would tell, for the reason `failure`."""
        self._is_over, self._failure = True, failure
        for each in self._waiting:
            _wake(each)

    async def over(self, seconds: float) -> None:
        """Wait until the key may have changed, for `seconds` at most.

        Raises ConnectionError if Redis would not tell.
        """
        if not self._is_over:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            timer = loop.call_later(seconds, _wake, waiter)
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiting.remove(waiter)
        if self._failure:
            raise ConnectionError(self._failure)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Asked(NamedTuple):
    """A command in flight, beside the future of its answer."""

    key: bytes
    """The key whose changes are told, b"" for none."""
    timer: asyncio.TimerHandle


class TrackingConnection(Connection):
    """A connection that many commands share. Their answers come in the order of the commands.

    A command whose caller gives up is still answered, and its answer dropped. If Redis does not
    answer one in time, all of them fail, and so does every `Unchanged`: the connection is lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, str] = {}
        """The command of `track` that Redis refused last, with its words."""
        self._asked: deque[_Asked] = deque()  # in the order of the answers
        self._unsent: list[bytes] = []
        self._unchanged: dict[bytes, Unchanged] = {}

    async def execute(self, words: tuple[Argument, ...], end: float) -> Any:
        """As `Connection.execute`, beside other commands."""
        return await self.ask(words, end)

    def ask(self, words: tuple[Argument, ...], end: float, key: bytes = b"") -> asyncio.Future[Any]:
        """Send a command that Redis has to answer until `end`, a time of the event loop.

        With `key`, the name of a key that the command reads, the result is the answer and the
        key's `Unchanged`. Commands of one turn of the loop are sent together, in their order.
        Raises ConnectionError if the connection is closed. The result raises as `execute`.
        """
        if self.is_closed:
            raise ConnectionError("the connection to Redis was lost")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._answers.append(answer)
        self._asked.append(_Asked(key, self._loop.call_at(end, self.abort, LATE)))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(pack(words))
        return answer

    async def track(self, end: float) -> None:
        """Ask Redis to tell of changes. If it refuses, `refused` says what and why."""
        refused: dict[str, str] = {}
        for words in _TRACK:
            try:
                await self.execute(words, end)
            except redis_errors.ResponseError as error:
                refused = {_name(words): str(error)}
                break
        self.refused = refused

    def abort(self, reason: str) -> None:
        """Close the connection now. Commands in flight raise ConnectionError."""
        super().abort(reason)
        for _, timer in self._asked:
            timer.cancel()
        self._asked.clear()
        for unchanged in self._unchanged.values():
            unchanged.end(reason)
        self._unchanged.clear()

    def _take(self, content: Any) -> None:
        if isinstance(content, _hiredis.PushNotification):
            self._be_told(content)
        else:
            super()._take(content)

    def _be_told(self, news: Any) -> None:
        kind, *content = news
        if kind != _INVALIDATE:
            return
        # Without names, every key may have changed: the database was flushed.
        for key in list(self._unchanged) if content[0] is None else content[0]:
            unchanged = self._unchanged.pop(key, None)
            if unchanged:
                unchanged.end()

    def _resolve(self, answer: asyncio.Future[Any], content: Any) -> None:
        key, timer = self._asked.popleft()
        timer.cancel()
        if key and not isinstance(content, Exception):
            # Now, and not when the caller goes on: what Redis tells next is later than this answer.
            content = (content, self._since_read(key))
        super()._resolve(answer, content)
        if self._is_of_replica:
            self.abort("this Redis is a replica")

    def _since_read(self, key: bytes) -> Unchanged:
        if self.refused:
            unchanged = Unchanged()
            unchanged.end("Redis does not tell of changes")
            return unchanged
        if key not in self._unchanged:
            self._unchanged[key] = Unchanged()
        return self._unchanged[key]

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self.is_closed:
            self._transport.write(b"".join(unsent))


class Tracker:
    """Keeps the `TrackingConnection` to one server, and replaces it once it is lost.

    `open_connection` opens it before the given time of the event loop; reads raise its errors.
    `timeout` is in seconds.
    """

    def __init__(
        self, open_connection: Callable[[float], Awaitable[TrackingConnection]], *, timeout: float
    ) -> None:
        self._open_connection = open_connection
        self._timeout = timeout
        self._connection: TrackingConnection | None = None
        self._opening: asyncio.Task[TrackingConnection] | None = None
        self._track_again = 0.0

    async def read(self, key: bytes, *words: Argument) -> tuple[Any, Unchanged]:
        """Send a command that reads a key. Raises RedisError, OSError or TimeoutError."""
        end = earliest(asyncio.get_running_loop().time() + self._timeout)
        found: tuple[Any, Unchanged] = await self.send(words, end, key=key)
        return found

    async def send(
        self, words: tuple[Argument, ...], end: float, *, asking: bool = False, key: bytes
    ) -> Any:
        """Send one command that reads a key. Its caller waits until `end`, a time of the loop.

        `asking` sends ASKING first, as a redirection by ASK requires.
        """
        loop = asyncio.get_running_loop()
        connection = self._connection
        if connection is None or connection.is_closed or connection.refused:
            async with asyncio.timeout_at(end):
                connection = await self._ready()
        # One caller's deadline ends its wait, and not the connection of all.
        latest = loop.time() + self._timeout
        before = (connection.ask(("ASKING",), latest),) if asking else ()
        answer = connection.ask(words, latest, key)
        if not before and latest - end < _HURRY:
            return await answer
        async with asyncio.timeout_at(end):
            *_, found = await asyncio.gather(*before, answer)
        return found

    async def refused(self, key: bytes = b"") -> dict[str, str]:
        """The command without which Redis does not tell of changes, with its words; or nothing.

        Tries it again if it was refused. Raises as `read`. `key` is for a Cluster.
        """
        del key
        loop = asyncio.get_running_loop()
        end = earliest(loop.time() + self._timeout)
        async with asyncio.timeout_at(end):
            connection = await self._connected()
            if connection.refused:
                await connection.track(loop.time() + self._timeout)
            return connection.refused

    async def aclose(self) -> None:
        """Close the connection."""
        if self._opening:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._connection:
            await self._connection.close()

    async def _ready(self) -> TrackingConnection:
        """The connection, on which Redis was asked to tell of changes."""
        loop = asyncio.get_running_loop()
        connection = await self._connected()
        if connection.refused and loop.time() >= self._track_again:
            self._track_again = loop.time() + _REFUSED_FOR
            await connection.track(loop.time() + self._timeout)
        return connection

    async def _connected(self) -> TrackingConnection:
        """The connection. All who need it while it is opened share one attempt, and its failure."""
        if self._connection and not self._connection.is_closed:
            return self._connection
        if self._opening is None:
            # In a context of its own: no call's deadline applies to it.
            self._opening = asyncio.create_task(self._open(), context=Context())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    async def _open(self) -> TrackingConnection:
        end = asyncio.get_running_loop().time() + self._timeout
        async with asyncio.timeout_at(end):
            connection = await self._open_connection(end)
        try:
            await connection.track(end)
        except BaseException:
            await connection.close()
            raise
        for command, why in connection.refused.items():
            if not rights.is_refusal(why):  # else the check of rights tells
                log.warning("store.untracked", command=command, error=why)
        self._connection = connection
        return connection

    def _opened(self, opening: asyncio.Task[TrackingConnection]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # whoever waited has it, if anybody still did


def _name(words: tuple[Argument, ...]) -> str:
    """The name of a command of `_TRACK`, as rights of Redis write it."""
    return "|".join(str(word) for word in words[:2]) if words[0] == "CLIENT" else str(words[0])
