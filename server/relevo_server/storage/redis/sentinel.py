"""The master of a service, as the Sentinels that watch over it know it.

Each Sentinel is asked again and again, by a task of its own, and at once when a
connection is opened: one that is silent holds nobody up. Where they differ, the
greatest epoch is right: a failover has a greater one than all before it. No answer
outlives its Sentinel's silence, so Sentinels that are set up anew, and count from
zero again, are believed as well.

Connections to what is no longer the master are closed as soon as one Sentinel
says so, with what is under way on them. While no Sentinel answers, those that
are open are kept, and none is opened.
"""

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from weakref import WeakKeyDictionary

from redis.exceptions import RedisError

from relevo_server.logs import cause_of, log
from relevo_server.storage.redis.connection import Address, Line, Server
from relevo_server.storage.redis.pool import Pool

SCHEMES = ("redis+sentinel", "rediss+sentinel")
_FORM = "redis+sentinel://host1:26379,host2:26379/service/0"
_PORT = 26379
_PAUSE = 0.25
"""Seconds between two questions to a Sentinel while no connection is opened."""


class MalformedUrlError(ValueError):
    """What is wrong with a URL. Quotes nothing of it."""


class Service(NamedTuple):
    """What a `redis+sentinel://` URL says.

    User, password and options are those of the Redis servers. The Sentinels share
    the options, and have `sentinel_username` and `sentinel_password`.
    """

    name: str
    server: str
    """A URL for the service's servers; its address means nothing."""
    sentinels: dict[str, str]
    """The URLs of the Sentinels, by their addresses."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL. Raises MalformedUrlError."""
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
    """What a Sentinel says: the one with the greatest epoch is right."""

    epoch: int
    address: Address

    @classmethod
    def of(cls, answer: list[bytes]) -> Self:
        """Read the answer to SENTINEL MASTER: names and values in turn."""
        found = dict(zip(answer[::2], answer[1::2], strict=True))
        address = Address(found[b"ip"].decode(), int(found[b"port"]))
        return cls(int(found[b"config-epoch"]), address)


class Sentinels:
    """Opens connections to the master of the moment, and closes those to its predecessors."""

    def __init__(self, url: str, *, timeout: float) -> None:
        service = Service.parse(url)
        self._name = service.name
        self._server = Server(service.server)
        self._sentinels = {
            address: Pool(Server(sentinel).open, timeout=timeout, max_connections=1)
            for address, sentinel in service.sentinels.items()
        }
        self._answers: dict[str, _Master] = {}
        self._wanted = asyncio.Event()
        self._answered = asyncio.Event()
        self._lines = WeakKeyDictionary[Line, Address | None]()
        self._master: Address | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, end: float) -> Line:
        """A connection to the master, which says itself that it is one."""
        if not self._tasks:
            # In contexts of their own: no call's deadline is theirs.
            self._tasks = [
                asyncio.create_task(self._follow(address), context=Context())
                for address in self._sentinels
            ]
        self._answered.clear()
        self._wanted.set()
        await self._answered.wait()
        address = self._master
        line = await self._server.open(end, address)
        self._lines[line] = address
        try:
            role, *_ = await line.ask(("ROLE",), end)
        except BaseException:
            await line.close()
            raise
        if role != b"master" or address != self._master:
            await line.close()
            raise ConnectionError("this Redis is not the master")
        return line

    async def aclose(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        for sentinel in self._sentinels.values():
            await sentinel.aclose()

    async def _follow(self, address: str) -> None:
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
            self._conclude()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._wanted.wait()
            self._wanted.clear()

    def _conclude(self) -> None:
        if not self._answers:
            return
        master = max(self._answers.values()).address
        self._answered.set()
        if master != self._master:
            log.info("store.master", address="{}:{}".format(*master))
            self._master = master
            for line, address in self._lines.items():
                if address != master:
                    line.drop("this Redis is no longer the master")


def _address(host: str) -> str:
    try:
        found = urlsplit(f"//{host}")
        name, port = found.hostname, found.port or _PORT
    except ValueError:
        name, port = None, 0
    if not name:
        raise MalformedUrlError(f"store: must list the addresses of the Sentinels, as in {_FORM}")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
