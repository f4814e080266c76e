"""A real store within the test's process, with time under the test's control."""

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any, Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage.memory import MemoryStorage

from relevo_client._client.blocking import ContextClient


class Clock:
    """A time that passes only when it is told to. In seconds."""

    def __init__(self) -> None:
        self._start = time.time()
        self._passed = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not go back; seconds must not be negative")
        self._passed += seconds

    def time(self) -> float:
        """The time of day, as `time.time` has it."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """A time to measure with, as `time.monotonic` has it."""
        return self._passed


class _Settings(Settings):
    """Only what is given: a developer's own environment is for servers."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, others, more
        return (init_settings,)


class LocalStore:
    """A ContextStore server on a free loopback port, for blocking and asyncio tests alike.

    Use with `with`. It runs in a thread of its own, keeps everything in memory, and
    its entries expire by `clock` only. `settings` are those of `relevo serve`, for
    example `ttl={"default": 60}`.
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        """What the entries' times to live pass by."""
        values: dict[str, Any] = {"listen": "127.0.0.1:0", "grace": 0.1, **settings}
        self._settings = _Settings(**values)
        self._started = Future[str]()
        self._thread = threading.Thread(target=self._run, name="relevo-store", daemon=True)

    def __enter__(self) -> Self:
        """Start the server, and open `client`."""
        self._thread.start()
        self.address = self._started.result()
        """Where it listens, as host:port: the target of a client."""
        self.client = ContextClient(self.address)
        """A blocking client of the test's own, to put and look at contexts."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server, and close `client`."""
        self.client.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        storage = MemoryStorage(
            self._settings.partitions,
            log_length=self._settings.log_length,
            request_ttl_ms=round(self._settings.request_id_ttl * 1000),
            clock=self.clock.time,
            monotonic=self.clock.monotonic,
        )
        async with Server(self._settings, storage) as server:
            self._started.set_result(server.address)
            await self._stop.wait()
