"""The client that runs scripts on a Redis server, master or Cluster, and maps their errors."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
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
from relevo_server.storage.redis.tracking import Tracker, TrackingConnection, Unchanged
from relevo_server.storage.redis.usage import Sampler
from relevo_server.telemetry.operations import measure
from relevo_server.telemetry.telemetry import NOTHING, Telemetry

# Errors of a working Redis that pass by themselves: failover, start-up, resharding,
# a script that hangs, credentials that have just been changed.
_TRANSIENT = (
    "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "MISCONF",
    "NOREPLICAS", "BUSY", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip


class Script:
    """A Lua script of this package, by its file name without `.lua`."""

    def __init__(self, name: str) -> None:
        folder = resources.files("relevo_server.storage.redis") / "scripts"
        prelude, script = (
            (folder / f"{part}.lua").read_text("utf-8") for part in ("prelude", name)
        )
        self.name = name
        self.source = _with_needed(prelude, script).encode()
        self.sha = sha1(self.source, usedforsecurity=False).hexdigest()


def _with_needed(prelude: str, script: str) -> str:
    """A script behind the parts of the prelude that it needs: each run defines all that is there.

    The parts stand apart by empty lines. Each defines locals, and uses only those before it.
    """
    for part in reversed(prelude.split("\n\n")):
        found = re.search(r"^local (?:function )?([\w, ]+)", part, re.MULTILINE)
        names = re.findall(r"\w+", found[1]) if found else []
        used = re.sub(r"--.*", "", script)
        if any(re.search(rf"\b{name}\b", used) for name in names):
            script = f"{part}\n\n{script}"
    return script


_RIGHTS = Script("rights")


class _Sender(Protocol):
    """The interface that `Pool` and `Cluster` share."""

    async def execute_command(self, *args: Argument, is_alone: bool = False) -> Any: ...
    async def masters(self) -> Sequence[Pool]: ...
    async def aclose(self) -> None: ...


class _Reader(Protocol):
    """The interface that `Tracker` and `Cluster` share."""

    async def read(self, key: bytes, *words: Argument) -> tuple[Any, Unchanged]: ...
    async def refused(self, key: bytes) -> dict[str, str]: ...
    async def aclose(self) -> None: ...


class Client:
    """Sends commands to Redis, each of which runs at most once.

    No command is retried after it may have run: a write whose answer was lost may have
    happened, and only its caller can decide to repeat it (`request_id`).
    A connection that Redis closed while it was idle is replaced before use.
    `timeout` is in seconds. `max_connections` bounds the connections for commands to each server;
    one more is for its logs.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        max_connections: int,
        telemetry: Telemetry = NOTHING,
    ) -> None:
        self._measured = measure(telemetry, "redis")
        with _hiding_the_url():
            scheme = url.partition("://")[0]
            self.kind = f"redis{scheme[scheme.index('+') :]}" if "+" in scheme else "redis"
            """`redis`, `redis+sentinel` or `redis+cluster`, with TLS or without."""
            self._sentinels: sentinel.Sentinels | None = None
            self._commands: _Sender
            self._logs: _Reader
            if scheme in cluster.SCHEMES:
                nodes = cluster.Cluster(url, timeout=timeout, max_connections=max_connections)
                self._commands = self._logs = nodes
            else:
                if scheme in sentinel.SCHEMES:
                    self._sentinels = sentinel.Sentinels(url, timeout=timeout)
                server = self._sentinels or Server(url)
                self._commands = Pool(server.open, timeout=timeout, max_connections=max_connections)
                self._logs = Tracker(partial(server.open_as, TrackingConnection), timeout=timeout)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument] = (),
        *,
        is_alone: bool = False,
    ) -> Any:
        """Run a script. Its keys must share a hash tag.

        `is_alone` is for a script whose answer may be large: no other command waits for it.
        """
        send = partial(self._commands.execute_command, is_alone=is_alone)
        return await self._evaluate(send, script, keys, args)

    async def read_log(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument]
    ) -> tuple[Any, Unchanged]:
        """Run a script that reads a log, the last of its keys.

        Returns its answer, and how to wait until the log may have changed since.
        """
        read = partial(self._logs.read, keys[-1].encode())
        found: tuple[Any, Unchanged] = await self._evaluate(read, script, keys, args)
        return found

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

    async def wait(self, unchanged: Unchanged, seconds: float) -> None:
        """Wait until a log may have changed, for `seconds` at most. Raises StoreError."""
        try:
            await unchanged.over(seconds)
        except FAILURES as error:
            raise store_error(error) from error

    async def _evaluate(
        self,
        send: Callable[..., Awaitable[Any]],
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
    ) -> Any:
        """Run a script by a function that sends a command. Raises StoreError."""
        try:
            try:
                with self._measured("EVALSHA", script.name):
                    return await send("EVALSHA", script.sha, len(keys), *keys, *args)
            except redis_errors.NoScriptError:  # the first use, or Redis was restarted
                with self._measured("EVAL", script.name):
                    return await send("EVAL", script.source, len(keys), *keys, *args)
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
            refused = rights.refused(await self._commands.execute_command(*words))
        except FAILURES as error:
            # Not only EVAL: to open a connection takes commands too.
            named = rights.named(str(error))
            if named:
                return named
            raise store_error(error) from error
        with suppress(*FAILURES):  # of the connection for logs; calls are answered without it
            refused |= rights.refusals(await self._logs.refused(key.encode()))
        return refused

    async def close(self) -> None:
        """Close every connection."""
        await self._commands.aclose()
        await self._logs.aclose()
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
