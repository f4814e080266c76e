"""The client that runs scripts on a Redis server, master or Cluster, and maps their errors."""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha1
from importlib import resources
from typing import Any, Protocol

from redis import exceptions as redis_errors

from relevo_server import errors
from relevo_server.logs import log
from relevo_server.storage.inspection import DatabaseStatus
from relevo_server.storage.redis import cluster, rights, sentinel, status
from relevo_server.storage.redis.connection import Argument, Server
from relevo_server.storage.redis.pool import FAILURES, Pool
from relevo_server.storage.redis.usage import Sampler
from relevo_server.telemetry.operations import measure
from relevo_server.telemetry.telemetry import NOTHING, Telemetry

MAX_WAIT = 5.0
"""The longest `Client.wait`, in seconds."""

# Errors of a working Redis that pass by themselves: failover, start-up, resharding,
# a script that hangs, credentials that have just been changed.
_TRANSIENT = (
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


_RIGHTS = Script("rights")


class _Sender(Protocol):
    """The interface that `Pool` and `Cluster` share."""

    async def execute_command(self, *args: Argument) -> Any: ...
    async def masters(self) -> Sequence[Pool]: ...
    async def aclose(self) -> None: ...


class Client:
    """Sends commands to Redis, each of which runs at most once.

    No command is retried after it may have run: a write whose answer was lost may have
    happened, and only its caller can decide to repeat it (`request_id`).
    A connection that Redis closed while it was idle is replaced before use.
    `timeout` is in seconds. `logs` bounds the number of concurrent `wait` calls.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        max_connections: int,
        logs: int,
        telemetry: Telemetry = NOTHING,
    ) -> None:
        self._measured = measure(telemetry, "redis")
        with _hiding_the_url():
            scheme = url.partition("://")[0]
            self.kind = f"redis{scheme[scheme.index('+') :]}" if "+" in scheme else "redis"
            """`redis`, `redis+sentinel` or `redis+cluster`, with TLS or without."""
            self._sentinels = (
                sentinel.Sentinels(url, timeout=timeout) if scheme in sentinel.SCHEMES else None
            )
            sender: Callable[..., _Sender]
            if scheme in cluster.SCHEMES:
                sender = partial(cluster.Cluster, url)
            else:
                sender = partial(Pool, (self._sentinels or Server(url)).open)
            self._commands = sender(timeout=timeout, max_connections=max_connections)
            # A blocking XREAD occupies its connection until it returns.
            self._waits = sender(timeout=timeout + MAX_WAIT, max_connections=logs)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        """Run a script. Its keys must share a hash tag."""
        try:
            return await self._run("EVALSHA", script, script.sha, len(keys), *keys, *args)
        except redis_errors.NoScriptError:  # the first use, or Redis was restarted
            return await self._run("EVAL", script, script.source, len(keys), *keys, *args)

    async def scan_all(self, pattern: str, count: int) -> AsyncGenerator[Sequence[bytes], None]:
        """The names in the database that match a pattern, about `count` of all names at a time.

        Raises StoreError. A name that is moved between servers of a Cluster may be left out.
        """
        try:
            for pool in await self._commands.masters():
                cursor: Argument = 0
                while True:
                    words = ("SCAN", cursor, "MATCH", pattern, "COUNT", count)
                    cursor, names = await pool.execute_command(*words)
                    yield names
                    cursor = int(cursor)
                    if not cursor:
                        break
        except FAILURES as error:
            raise store_error(error) from error

    def sampler(self, prefix: str, partitions: int) -> Sampler:
        """The sampler of the store's usage."""
        commands = self._commands
        return Sampler(commands.masters, commands.execute_command, prefix, partitions)

    async def _run(self, command: str, script: Script, *words: Argument) -> Any:
        """Send one command that runs a script. Raises StoreError, or NoScriptError."""
        try:
            with self._measured(command, script.name):
                return await self._commands.execute_command(command, *words)
        except redis_errors.NoScriptError:
            raise
        except FAILURES as error:
            raise store_error(error) from error

    async def wait(self, log: str, after: str, seconds: float) -> None:
        """Wait until a stream has an entry after an id. Raises StoreError."""
        words = ("XREAD", "BLOCK", round(seconds * 1000), "COUNT", 1, "STREAMS", log, after)
        try:
            await self._waits.execute_command(*words)
        except FAILURES as error:
            raise store_error(error) from error

    async def eviction_policies(self) -> frozenset[str]:
        """The servers' eviction policies; empty if they do not report them."""
        return await status.eviction_policies(await self._commands.masters())

    async def database_status(self) -> DatabaseStatus:
        """The state of the servers, as far as they report it."""
        return await status.database_status(await self._commands.masters())

    async def refusals(self, key: str) -> dict[str, str]:
        """The commands that the user may not run, each with Redis's words. Changes nothing.

        `key` is the name of a record that does not exist. Raises StoreError.
        """
        words = ("EVAL", _RIGHTS.source, 1, key, rights.trials(key))
        try:
            return rights.refused(await self._commands.execute_command(*words))
        except FAILURES as error:
            # Not only EVAL: to open a connection takes commands too.
            named = rights.named(str(error))
            if named:
                return named
            raise store_error(error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._commands.aclose()
        await self._waits.aclose()
        if self._sentinels:
            await self._sentinels.aclose()


@contextmanager
def _hiding_the_url() -> Generator[None, None, None]:
    """Raise errors of a URL without quoting it: it may contain a password."""
    try:
        yield
    except sentinel.MalformedUrlError:
        raise
    except OSError as error:  # includes ssl.SSLError
        raise ValueError(f"store: its TLS files cannot be used: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ValueError(
            "store: is not a URL of Redis; in a user or a password, special characters are "
            "percent-encoded"
        ) from None


def store_error(error: Exception) -> errors.StoreError:
    """The StoreError for an error of Redis. It is never a conflict and never "not found"."""
    text = str(error)
    if isinstance(error, redis_errors.ResponseError):
        # An error within a script has its code in the middle of the text.
        words = text.replace("-", " ").split()
        if isinstance(error, redis_errors.OutOfMemoryError) or "OOM" in words:
            return errors.store_full()
        is_known = rights.is_refusal(text) or set(_TRANSIENT) & set(words)
        if type(error) is redis_errors.ResponseError and not is_known:
            log.error("store.refused", error=text)
            return errors.internal()
    log.debug("store.unavailable", error=type(error).__name__)
    return errors.unavailable()
