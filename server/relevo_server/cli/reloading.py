"""Reloads the settings of a running server: on SIGHUP, and when one of their files has changed."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from relevo_server import logs
from relevo_server.cli.extras import MissingExtraError, needing
from relevo_server.marks import Mark, mark_of
from relevo_server.settings import Settings

Load = Callable[[], Settings]


class Reloadable(Protocol):
    """A server, or the supervisor of one."""

    async def reload(self, settings: Settings) -> list[str]:
        """Take over settings; return those that need a restart. Raises ValueError or OSError."""
        ...

    def refuse_reload(self, problems: str) -> None:
        """Record that settings cannot be used."""
        ...


class _State(NamedTuple):
    mark: Mark | None
    """None if there is no such file."""
    digest: bytes


_ABSENT = _State(None, b"")


class Reloading:
    """Keeps a server to what `load` returns. `config` is the file of the settings, if there is one.

    `load` raises ValueError for wrong settings, with a line for each, and quotes no values.
    """

    def __init__(
        self, server: Reloadable, settings: Settings, load: Load, config: Path | None
    ) -> None:
        self._server = server
        self._settings = settings
        self._load = load
        self._config = config
        self._asked = asyncio.Event()
        # Now, and not when `run` begins: what changes while a server starts would not be noticed.
        self._states = _states(self._files(), {})

    def ask(self) -> None:
        """Reload now, whether or not a file has changed."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever it is due, without end."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.reload_interval):
                    await self._asked.wait()
            states = await asyncio.to_thread(_states, self._files(), self._states)
            digests = {path: state.digest for path, state in states.items()}
            has_changed = digests != {path: each.digest for path, each in self._states.items()}
            self._states = states
            if has_changed or self._asked.is_set():
                self._asked.clear()
                await self._reload()

    async def _reload(self) -> None:
        try:
            settings = await asyncio.to_thread(self._load)
            with needing("jwt"):
                restart = await self._server.reload(settings)
        except (ValueError, OSError, MissingExtraError) as error:
            logs.log.error("settings.refused", problems=str(error).splitlines())
            self._server.refuse_reload(str(error))
            return
        logs.set_level(settings.log_level)
        self._settings = settings
        logs.log.info("settings.reloaded", needs_restart=restart)
        # Files that are new to the settings count as read. The others may have changed meanwhile.
        new = [each for each in self._files() if each not in self._states]
        added = await asyncio.to_thread(_states, new, {})
        self._states = {file: {**self._states, **added}[file] for file in self._files()}

    def _files(self) -> list[Path]:
        settings = self._settings
        keys = [Path(each.jwks) for each in settings.issuers if "://" not in each.jwks]
        named = (self._config, settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        return [*(each for each in named if each), *keys, *settings.schemas.values()]


def _states(files: Iterable[Path], before: Mapping[Path, _State]) -> Mapping[Path, _State]:
    return {file: _state(file, before.get(file, _ABSENT)) for file in files}


def _state(file: Path, before: _State) -> _State:
    try:
        mark = mark_of(file)
        if mark == before.mark:
            return before
        return _State(mark, sha256(file.read_bytes()).digest())
    except OSError:
        return _ABSENT
