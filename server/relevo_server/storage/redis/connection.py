"""One connection to a Redis server, and how a URL's server is connected to."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import hiredis
from redis import exceptions as redis_errors
from redis.asyncio import connection as redis_connection

Argument = str | bytes | int

# Libraries whose types are only half known.
_hiredis: Any = hiredis
_redis: Any = redis_connection

LATE = "Redis did not answer in time"
_INCOMPLETE = object()
_TLS_ALERT = b"\x15\x03"
_SPEAKS_TLS = "this Redis speaks TLS: the store's URL must begin with rediss"
_REFUSED = "Redis closed the connection before it answered, as one does that speaks TLS (rediss://)"
_SPEAKS_NO_TLS = "this Redis does not speak TLS: the store's URL must begin with redis"
_HANDSHAKE = 0.9
"""The share of the time to connect that TLS may take, so that it can be named as the cause."""


class Address(NamedTuple):
    """The host and port that a server listens on."""

    host: str
    port: int


class Connection(asyncio.Protocol):
    """One connection to Redis, which answers commands in the order in which they are sent.

    `when_idle` is called each time that the last command in flight has its answer, or has failed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader = _hiredis.Reader(
            replyError=_redis.DefaultParser.parse_error, notEnoughData=_INCOMPLETE
        )
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._ended = asyncio.Event()
        self._has_received = False
        self._is_of_replica = False
        self._is_idle = True
        self.when_idle: Callable[[], None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._transport.is_closing()

    def send(self, packed: bytes, answers: Iterable[asyncio.Future[Any]]) -> None:
        """Send packed commands. The answer of each becomes the result of its future.

        That is an error of Redis's if it refuses the command, ConnectionError if no answer comes.
        A future may be cancelled: the others still get their own answers.
        """
        self._is_idle = False
        self._answers.extend(answers)
        self._transport.write(packed)

    async def execute(self, words: tuple[Argument, ...], end: float) -> Any:
        """Send a command, and wait for its answer until `end`, a time of the event loop.

        Raises RedisError if Redis refuses the command, ConnectionError if no answer came.
        """
        answer = self._loop.create_future()
        timer = self._loop.call_at(end, self.abort, LATE)
        self.send(pack(words), (answer,))
        try:
            return await answer
        except asyncio.CancelledError:
            self.give_up()
            raise
        finally:
            timer.cancel()

    def give_up(self) -> None:
        """Close the connection if nobody waits for any of its answers."""
        if self._answers and all(answer.done() for answer in self._answers):
            self.abort("nobody waits for the answers")

    def abort(self, reason: str) -> None:
        """Close the connection now; the commands in flight raise ConnectionError."""
        self._transport.abort()
        answers, self._answers = self._answers, deque()
        for answer in answers:
            if not answer.done():
                answer.set_exception(ConnectionError(reason))
        self._rest()

    async def close(self) -> None:
        """Close the connection, and wait until it is closed."""
        self._transport.abort()
        await self._ended.wait()

    def connection_made(self, transport: Any) -> None:
        """Keep the transport. asyncio calls this once connected."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what is complete now, in the order in which Redis sent it. asyncio calls this."""
        self._has_received = True
        reader = self._reader
        reader.feed(data)
        try:
            while (content := reader.gets()) is not _INCOMPLETE:
                self._take(content)
        except _hiredis.ProtocolError:
            is_tls = data.startswith(_TLS_ALERT)
            self.abort(_SPEAKS_TLS if is_tls else "this is no Redis: it does not answer as one")
            return
        if not self._answers:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Fail the commands in flight. asyncio calls this once disconnected."""
        is_tls = self._transport.get_extra_info("sslcontext") is not None
        is_refused = not (self._has_received or is_tls)
        self.abort(_REFUSED if is_refused else "the connection to Redis was lost")
        self._ended.set()

    def _take(self, content: Any) -> None:
        """Take something complete: the answer of the first command in flight."""
        if self._answers:
            self._resolve(self._answers.popleft(), content)
        else:
            self.abort("Redis answered what it was not asked")

    def _resolve(self, answer: asyncio.Future[Any], content: Any) -> None:
        if isinstance(content, Exception):
            self._is_of_replica = self._is_of_replica or _is_of_a_replica(content)
            if not answer.done():
                answer.set_exception(content)
        elif not answer.done():
            answer.set_result(content)

    def _rest(self) -> None:
        """Become idle, once, after the last answer."""
        if self._is_of_replica:
            # The master may be another server by now: the next command finds it.
            self._transport.abort()
        if not self._is_idle:
            self._is_idle = True
            if self.when_idle:
                self.when_idle()


def pack(words: tuple[Argument, ...]) -> bytes:
    """A command in the form in which Redis takes it."""
    packed: bytes = _hiredis.pack_command(words)
    return packed


AnyConnection = TypeVar("AnyConnection", bound=Connection)
"""A class of connections."""


class Server:
    """The address, credentials and TLS options of a `redis://`, `rediss://` or `unix://` URL.

    redis-py parses the URL and makes the TLS context; the connections are made here.
    """

    def __init__(self, url: str) -> None:
        self._target = _redis.ConnectionPool.from_url(url).make_connection()
        is_tls = isinstance(self._target, _redis.SSLConnection)
        self._tls = self._target.ssl_context.get() if is_tls else None

    @property
    def address(self) -> Address:
        """The host and port that the server listens on; not for a `unix://` URL."""
        return Address(self._target.host, self._target.port)

    async def open(self, end: float, address: Address | None = None) -> Connection:
        """Open an authenticated connection before `end`, a time of the event loop.

        `address` replaces the URL's. Raises RedisError or OSError.
        """
        return await self.open_as(Connection, end, address)

    async def open_as(
        self, kind: type[AnyConnection], end: float, address: Address | None = None
    ) -> AnyConnection:
        """The same, for a connection of this class."""
        loop, target = asyncio.get_running_loop(), self._target
        if isinstance(target, _redis.UnixDomainSocketConnection):
            _, connection = await loop.create_unix_connection(kind, target.path)
        else:
            connection = await self._connect(kind, *(address or self.address), end - loop.time())
        try:
            if target.password:
                user = target.username or "default"
                await connection.execute(("AUTH", user, target.password), end)
            if target.db:
                await connection.execute(("SELECT", target.db), end)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _connect(
        self, kind: type[AnyConnection], host: str, port: int, seconds: float
    ) -> AnyConnection:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            _, connection = await loop.create_connection(kind, host, port)
            return connection
        longest = max(_HANDSHAKE * seconds, 0.001)
        try:
            _, connection = await loop.create_connection(
                kind, host, port, ssl=self._tls, ssl_handshake_timeout=longest
            )
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise ConnectionError(_SPEAKS_NO_TLS) from error
            raise
        except ConnectionAbortedError as error:
            # A Redis without TLS takes the handshake for a command and waits for its end.
            raise ConnectionError(
                "the TLS handshake did not end in time, as with a Redis that does not speak TLS"
            ) from error
        return connection


def _is_of_a_replica(error: Exception) -> bool:
    # Redis 6.2 has the code in the middle of the text of an error within a script.
    return isinstance(error, redis_errors.ReadOnlyError) or "READONLY" in str(error)
