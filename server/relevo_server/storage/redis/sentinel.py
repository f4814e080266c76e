"""Connections to the current master of a service, as its Sentinels name it.

A task for each Sentinel polls it, and polls at once when a connection is opened, so a
silent Sentinel delays nobody. If Sentinels disagree, the greatest epoch wins: each
failover has a greater one than all before it. An answer is dropped as soon as its
Sentinel fails to answer, so Sentinels that were set up anew, and count from zero again,
are believed too.

Connections to a former master are closed, with the commands in flight on them, as soon
as one Sentinel names another master. While no Sentinel answers, open connections are
kept and no new one is opened.
"""

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from weakref import WeakKeyDictionary

from redis.exceptions import RedisError

from relevo_server.hiding import hides
from relevo_server.logs import cause_of, log
from relevo_server.storage.redis.connection import Address, AnyConnection, Connection, Server
from relevo_server.storage.redis.pool import Pool

SCHEMES = ("redis+sentinel", "rediss+sentinel")
_FORM = "redis+sentinel://host1:26379,host2:26379/service/0"
_PORT = 26379
_PAUSE = 0.25
"""Seconds between two polls of a Sentinel while no connection is opened."""


class MalformedUrlError(ValueError):
    """Raised for a malformed URL. Its text quotes nothing of the URL."""


@hides("server", "sentinels")
class Service(NamedTuple):
    """The parts of a `redis+sentinel://` URL.

    User, password and options are those of the Redis servers. The Sentinels share the
    options; their credentials are `sentinel_username` and `sentinel_password`.
    """

    name: str
    server: str
    """A URL for the service's servers; its address is not used."""
    sentinels: dict[str, str]
    """The URLs of the Sentinels, by their addresses."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse a URL. Raises MalformedUrlError."""
        kind, _, rest = url.partition("+sentinel://")
        rest, _, query = rest.partition("?")
        authority, _, path = rest.partition("/")
        user, at, hosts = authority.rpartition("@")
        name, _, database = path.partition("/")
        if not name:
            raise MalformedUrlError(f"store: must name the service, as in {_FORM}")
        if database and not (database.isascii() and database.isdecimal()):
            raise MalformedUrlError(f"store: the database must be a number, as in {_FORM}")
        options = dict(parse_qsl(query, keep_blank_values=True))
        watcher = quote(options.pop("sentinel_username", ""), safe="")
        if "sentinel_password" in options:
            watcher += f":{quote(options.pop('sentinel_password'), safe='')}@"
        addresses = [_address(host) for host in hosts.split(",")]
        shared = f"?{urlencode(options)}"
        return cls(
            unquote(name),
            f"{kind}://{user}{at}localhost/{database}{shared}",
            {address: f"{kind}://{watcher}{address}{shared}" for address in addresses},
        )


class _Master(NamedTuple):
    """A Sentinel's answer. Of several, the one with the greatest epoch is right."""

    epoch: int
    address: Address

    @classmethod
    def of(cls, answer: list[bytes]) -> Self:
        """Parse the answer to SENTINEL MASTER, which alternates names and values."""
        fields = dict(zip(answer[::2], answer[1::2], strict=True))
        address = Address(fields[b"ip"].decode(), int(fields[b"port"]))
        return cls(int(fields[b"config-epoch"]), address)


class Sentinels:
    """Opens connections to the current master, and closes those to former masters."""

    def __init__(self, url: str, *, timeout: float) -> None:
        service = Service.parse(url)
        self._name = service.name
        self._server = Server(service.server)
        self._sentinels = {
            address: Pool(Server(sentinel).open, timeout=timeout, max_connections=1)
            for address, sentinel in service.sentinels.items()
        }
        self._answers: dict[str, _Master] = {}
        self._poll_now = asyncio.Event()
        self._answered = asyncio.Event()
        self._connections = WeakKeyDictionary[Connection, Address | None]()
        self._master: Address | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, end: float) -> Connection:
        """Open a connection to the master, which confirms its role, before `end`.

        `end` is a time of the event loop. Raises RedisError or OSError.
        """
        return await self.open_as(Connection, end)

    async def open_as(self, kind: type[AnyConnection], end: float) -> AnyConnection:
        """The same, for a connection of this class."""
        if not self._tasks:
            # In contexts of their own, so that no call's deadline applies to them.
            self._tasks = [
                asyncio.create_task(self._poll(address), context=Context())
                for address in self._sentinels
            ]
        self._answered.clear()
        self._poll_now.set()
        await self._answered.wait()
        address = self._master
        connection = await self._server.open_as(kind, end, address)
        self._connections[connection] = address
        try:
            role, *_ = await connection.execute(("ROLE",), end)
        except BaseException:
            await connection.close()
            raise
        if role != b"master" or address != self._master:
            await connection.close()
            raise ConnectionError("this Redis is not the master")
        return connection

    async def aclose(self) -> None:
        """Stop polling, and close the connections to the Sentinels."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        for sentinel in self._sentinels.values():
            await sentinel.aclose()

    async def _poll(self, address: str) -> None:
        sentinel, is_lost = self._sentinels[address], False
        while True:
            try:
                answer = await sentinel.execute_command("SENTINEL", "MASTER", self._name)
            except (RedisError, OSError) as error:
                self._answers.pop(address, None)
                if not is_lost:
                    log.warning("sentinel.lost", sentinel=address, cause=cause_of(error))
                is_lost = True
            else:
                self._answers[address] = _Master.of(answer)
                if is_lost:
                    log.info("sentinel.found", sentinel=address)
                is_lost = False
            self._update_master()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._poll_now.wait()
            self._poll_now.clear()

    def _update_master(self) -> None:
        if not self._answers:
            return
        master = max(self._answers.values()).address
        self._answered.set()
        if master != self._master:
            log.info("store.master", address="{}:{}".format(*master))
            self._master = master
            for connection, address in self._connections.items():
                if address != master:
                    connection.abort("this Redis is no longer the master")


def _address(host: str) -> str:
    try:
        found = urlsplit(f"//{host}")
        name, port = found.hostname, found.port or _PORT
    except ValueError:
        name, port = None, 0
    if not name:
        raise MalformedUrlError(f"store: must list the addresses of the Sentinels, as in {_FORM}")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
