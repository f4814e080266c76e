"""One connection to a Redis server, and how a URL says that it is opened."""

import asyncio
import ssl
from typing import Any, NamedTuple

import hiredis
from redis import exceptions as redis_errors
from redis.asyncio import connection

Argument = str | bytes | int

# Libraries whose types are only half known.
_hiredis: Any = hiredis
_redis: Any = connection

_INCOMPLETE = object()
_TLS_ALERT = b"\x15\x03"
_SPEAKS_TLS = "this Redis speaks TLS: the store's URL must begin with rediss"
_REFUSED = "Redis closed the connection before it answered, as one does that speaks TLS (rediss://)"
_SPEAKS_NO_TLS = "this Redis does not speak TLS: the store's URL must begin with redis"
_HANDSHAKE = 0.9
"""The part of the time for a connection that TLS may take, so that it can be named as the cause."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class Line(asyncio.Protocol):
    """One connection, until it ends. It carries one command at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader = _hiredis.Reader(
            replyError=_redis.DefaultParser.parse_error, notEnoughData=_INCOMPLETE
        )
        self._answer: asyncio.Future[Any] | None = None
        self._ended = asyncio.Event()
        self._has_heard = False

    @property
    def is_closed(self) -> bool:
        """Whether it cannot be used any more."""
        return self._transport.is_closing()

    async def ask(self, words: tuple[Argument, ...], end: float) -> Any:
        """Send a command, and wait for its answer until `end`."""
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_at(end, self.drop, "Redis did not answer in time")
        self._transport.write(_hiredis.pack_command(words))
        try:
            return await answer
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        finally:
            timer.cancel()

    def drop(self, why: str) -> None:
        """End it now, and with it the command that is under way."""
        self._transport.abort()
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError(why))

    async def close(self) -> None:
        """Close it."""
        self._transport.abort()
        await self._ended.wait()

    def connection_made(self, transport: Any) -> None:
        """Take what is needed to send."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer, when the answer is complete."""
        self._has_heard = True
        self._reader.feed(data)
        try:
            content = self._reader.gets()
        except _hiredis.ProtocolError:
            is_tls = data.startswith(_TLS_ALERT)
            self.drop(_SPEAKS_TLS if is_tls else "this is no Redis: it does not answer as one")
            return
        if content is _INCOMPLETE:
            return
        if self._answer is None or self._answer.done():
            self.drop("Redis answered what it was not asked")
        elif isinstance(content, Exception):
            self._answer.set_exception(content)
            if _is_of_a_replica(content):
                # The master may be elsewhere by now: the next command looks for it.
                self._transport.abort()
        else:
            self._answer.set_result(content)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Tell who waits."""
        is_tls = self._transport.get_extra_info("sslcontext") is not None
        is_refused = not (self._has_heard or is_tls)
        self.drop(_REFUSED if is_refused else "the connection to Redis was lost")
        self._ended.set()


class Server:
    """A Redis server, and who we are to it: what a `redis://`, `rediss://` or `unix://` URL says.

    redis-py reads the URL and makes the TLS context; the connections are made here.
    """

    def __init__(self, url: str) -> None:
        self._target = _redis.ConnectionPool.from_url(url).make_connection()
        is_tls = isinstance(self._target, _redis.SSLConnection)
        self._tls = self._target.ssl_context.get() if is_tls else None

    @property
    def address(self) -> Address:
        """Where it listens, if not at a path."""
        return Address(self._target.host, self._target.port)

    async def open(self, end: float, address: Address | None = None) -> Line:
        """A connection that may be used, to another address than the URL's where one is given.

        Raises RedisError or OSError.
        """
        loop, target = asyncio.get_running_loop(), self._target
        if isinstance(target, _redis.UnixDomainSocketConnection):
            _, line = await loop.create_unix_connection(Line, target.path)
        else:
            line = await self._connect(*(address or self.address), end - loop.time())
        try:
            if target.password:
                await line.ask(("AUTH", target.username or "default", target.password), end)
            if target.db:
                await line.ask(("SELECT", target.db), end)
        except BaseException:
            await line.close()
            raise
        return line

    async def _connect(self, host: str, port: int, seconds: float) -> Line:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            _, line = await loop.create_connection(Line, host, port)
            return line
        longest = max(_HANDSHAKE * seconds, 0.001)
        try:
            _, line = await loop.create_connection(
                Line, host, port, ssl=self._tls, ssl_handshake_timeout=longest
            )
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise ConnectionError(_SPEAKS_NO_TLS) from error
            raise
        except ConnectionAbortedError as error:
            # A Redis without TLS waits for the end of a line.
            raise ConnectionError(
                "the TLS handshake did not end in time, as with a Redis that does not speak TLS"
            ) from error
        return line


def _is_of_a_replica(error: Exception) -> bool:
    # Redis 6.2 has the word in the middle of what it says about an error within a script.
    return isinstance(error, redis_errors.ReadOnlyError) or "READONLY" in str(error)
