"""How scripts reach Redis: a server, a master or a Cluster, and what their errors mean."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha1
from importlib import resources
from typing import Any, Protocol

from redis import exceptions as redis_errors

from relevo_server import errors
from relevo_server.logs import log
from relevo_server.storage.redis import cluster, eviction, sentinel
from relevo_server.storage.redis.connection import Argument, Server
from relevo_server.storage.redis.pool import Pool

MAX_WAIT = 5.0
"""Seconds that `Connection.wait` may take."""

_FAILURES = (redis_errors.RedisError, OSError)  # of which TimeoutError is one

# Answers of a Redis that works, but not now or not for us: failover, start-up,
# resharding, a script that hangs, credentials that have just been changed.
_PASSING = (
    "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "MISCONF",
    "NOREPLICAS", "UNBLOCKED", "BUSY", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip


class Script:
    """A Lua script of this package, by its file name without `.lua`."""

    def __init__(self, name: str) -> None:
        folder = resources.files("relevo_server.storage.redis") / "scripts"
        sources = [(folder / f"{part}.lua").read_text("utf-8") for part in ("prelude", name)]
        self.name = name
        self.source = "\n".join(sources).encode()
        self.sha = sha1(self.source, usedforsecurity=False).hexdigest()


class _Client(Protocol):
    """What clients of one server and of a Cluster have in common."""

    async def execute_command(self, *args: Argument) -> Any: ...
    async def execute_everywhere(self, *args: Argument) -> list[Any]: ...
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
            scheme = url.partition("://")[0]
            self._sentinels = (
                sentinel.Sentinels(url, timeout=timeout) if scheme in sentinel.SCHEMES else None
            )
            client: Callable[..., _Client]
            if scheme in cluster.SCHEMES:
                client = partial(cluster.Cluster, url)
            else:
                client = partial(Pool, (self._sentinels or Server(url)).open)
            self._client = client(timeout=timeout, max_connections=max_connections)
            # Who waits keeps a connection for as long.
            self._waiting = client(timeout=timeout + MAX_WAIT, max_connections=logs)

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
        except _FAILURES as error:
            raise meaning(error) from error

    async def wait(self, log: str, after: str, seconds: float) -> None:
        """Wait for an entry of a stream after an id. Raises StoreError."""
        words = ("XREAD", "BLOCK", round(seconds * 1000), "COUNT", 1, "STREAMS", log, after)
        try:
            await self._waiting.execute_command(*words)
        except _FAILURES as error:
            raise meaning(error) from error

    async def eviction_policies(self) -> frozenset[str]:
        """What the servers do when their memory is full; empty if they do not say."""
        return await eviction.policies(self._client.execute_everywhere)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        await self._waiting.aclose()
        if self._sentinels:
            await self._sentinels.aclose()


@contextmanager
def _quoting_nothing() -> Generator[None, None, None]:
    """Say what is wrong with a URL, and not what it is: it may have a password."""
    try:
        yield
    except sentinel.MalformedUrlError:
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
