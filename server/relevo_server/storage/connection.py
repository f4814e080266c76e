"""How scripts reach Redis: a server, a master or a Cluster, and what their errors mean."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from importlib import resources
from typing import Any, Protocol

from redis import exceptions as redis_errors
from redis.asyncio import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from relevo_server import errors
from relevo_server.deadline import earliest
from relevo_server.logs import log
from relevo_server.storage.line import Argument, Server
from relevo_server.storage.pool import Endpoint, Pool
from relevo_server.storage.sentinel import SCHEMES, MalformedUrlError, Sentinels

MAX_WAIT = 5.0
"""Seconds that `Connection.wait` may take."""

_CLUSTER = "redis+cluster"
_ERRORS = (redis_errors.RedisError, redis_errors.RedisClusterException)

# Answers of a Redis that works, but not now or not for us: failover, start-up,
# resharding, a script that hangs, credentials that have just been changed.
_PASSING = (
    "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "MISCONF",
    "NOREPLICAS", "UNBLOCKED", "BUSY", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip


class Script:
    """A Lua script of this package, by its file name without `.lua`."""

    def __init__(self, name: str) -> None:
        folder = resources.files("relevo_server.storage") / "scripts"
        sources = [(folder / f"{part}.lua").read_text("utf-8") for part in ("prelude", name)]
        self.name = name
        self.source = "\n".join(sources).encode()
        self.sha = sha1(self.source, usedforsecurity=False).hexdigest()


class _Client(Protocol):
    """What clients of one server and of a Cluster have in common."""

    async def execute_command(self, *args: Argument) -> Any: ...
    async def aclose(self) -> None: ...


class Connection:
    """Sends commands, each of them once.

    Nothing is repeated after it was sent: a write whose answer was lost may have
    happened, and only its sender can tell whether to repeat it (`request_id`).
    A connection that Redis closed while it was idle is replaced before use.
    `logs` is how many logs are waited for at once, at most.
    """

    def __init__(self, url: str, *, timeout: float, max_connections: int, logs: int) -> None:
        with _quoting_nothing():
            self._endpoint = _endpoint(url, timeout)
            self._client = self._open(url, timeout, max_connections)
            # Who waits keeps a connection for as long.
            self._waiting = self._open(url, timeout + MAX_WAIT, logs)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        """Run a script. Its keys must share a hash tag."""
        try:
            return await self.command("EVALSHA", script.sha, len(keys), *keys, *args)
        except redis_errors.NoScriptError:  # the first use, or Redis was restarted
            return await self.command("EVAL", script.source, len(keys), *keys, *args)

    async def command(self, *words: Argument) -> Any:
        """Send one command. Raises StoreError; NoScriptError passes through."""
        try:
            return await self._client.execute_command(*words)
        except redis_errors.NoScriptError:
            raise
        except (*_ERRORS, OSError, TimeoutError) as error:
            raise meaning(error) from error

    async def wait(self, log: str, after: str, seconds: float) -> None:
        """Wait for an entry of a stream after an id. Raises StoreError."""
        words = ("XREAD", "BLOCK", round(seconds * 1000), "COUNT", 1, "STREAMS", log, after)
        try:
            await self._waiting.execute_command(*words)
        except (*_ERRORS, OSError, TimeoutError) as error:
            raise meaning(error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        await self._waiting.aclose()
        if self._endpoint:
            await self._endpoint.aclose()

    def _open(self, url: str, timeout: float, max_connections: int) -> _Client:
        if self._endpoint:
            return Pool(self._endpoint, timeout=timeout, max_connections=max_connections)
        return _Cluster(url, timeout=timeout, max_connections=max_connections)


class _Cluster:
    """redis-py's client of a Cluster, with an end to every command."""

    def __init__(self, url: str, *, timeout: float, max_connections: int) -> None:
        self._timeout = timeout
        self._client = RedisCluster.from_url(
            url.replace("redis+cluster://", "redis://", 1),
            retry=Retry(NoBackoff(), 0),
            max_connections=max_connections,
        )

    async def execute_command(self, *words: Argument) -> Any:
        end = asyncio.get_running_loop().time() + self._timeout
        async with asyncio.timeout_at(earliest(end)):
            return await self._client.execute_command(*words)

    async def aclose(self) -> None:
        await self._client.aclose()


def _endpoint(url: str, timeout: float) -> Endpoint | None:
    """What connections are opened to; None for a Cluster."""
    scheme = url.partition("://")[0]
    if scheme == _CLUSTER:
        return None
    return Sentinels(url, timeout=timeout) if scheme in SCHEMES else Server(url)


@contextmanager
def _quoting_nothing() -> Generator[None, None, None]:
    """Say what is wrong with a URL, and not what it is: it may have a password."""
    try:
        yield
    except MalformedUrlError:
        raise
    except OSError as error:  # those of ssl are OSErrors too
        raise ValueError(f"store: its TLS files cannot be used: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ValueError(
            "store: is not a URL of Redis; in a user or a password, special characters are "
            "percent-encoded"
        ) from None


def meaning(error: Exception) -> errors.StoreError:
    """What an error of Redis means to a caller. Never a conflict, never "not found"."""
    text = str(error)
    if isinstance(error, redis_errors.ResponseError):
        # An error within a script has its word in the middle of the text.
        words = text.replace("-", " ").split()
        if isinstance(error, redis_errors.OutOfMemoryError) or "OOM" in words:
            return errors.store_full()
        if type(error) is redis_errors.ResponseError and not set(_PASSING) & set(words):
            log.error("store.refused", error=text)
            return errors.internal()
    log.debug("store.unavailable", error=type(error).__name__)
    return errors.unavailable()
