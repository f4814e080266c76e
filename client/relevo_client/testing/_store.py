"""`LocalStore`: a real ContextStore in the test's process, whose clock the test controls."""

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

_PATIENCE = 10.0  # seconds


class Clock:
    """A clock that only `advance` moves. Times are in seconds."""

    def __init__(self) -> None:
        self._start = time.time()
        self._passed = 0.0

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Raises ValueError if `seconds` is negative."""
        if seconds < 0:
            raise ValueError("time does not go back; seconds must not be negative")
        self._passed += seconds

    def time(self) -> float:
        """The wall-clock time, in seconds since the epoch, as `time.time` returns it."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """The seconds that have passed, to measure durations as with `time.monotonic`."""
        return self._passed


class _Settings(Settings):
    """Settings from arguments only: a developer's environment variables must not change tests."""

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

    Use it in a `with` statement. The server runs in its own thread and keeps everything in
    memory; entries expire by `clock` only. `settings` are those of `relevo serve`, for
    example `ttl={"default": 60}`; environment variables do not count. `token` is that of `client`,
    for a store with `principals`. Raises pydantic's ValidationError for invalid settings.
    """

    def __init__(self, *, token: str | None = None, **settings: Any) -> None:
        self._token = token
        self.clock = Clock()
        """The clock by which entries expire."""
        values: dict[str, Any] = {"listen": "127.0.0.1:0", "grace": 0.1, **settings}
        self._settings = _Settings(**values)
        self._started = Future[str]()
        self._thread = threading.Thread(target=self._run, name="relevo-store", daemon=True)

    def __enter__(self) -> Self:
        """Start the server and create `client`. Raises the error of a server that cannot start."""
        self._thread.start()
        self.address = self._started.result()
        """The server's address as host:port, to be given to a client as its target."""
        self.client = ContextClient(self.address, token=self._token, timeout=_PATIENCE)
        """A blocking client for the test itself, to put contexts and to read them.

        Its timeout is 10 seconds, so that no test fails since its machine is busy.
        """
        return self

    def __exit__(self, *_: object) -> None:
        """Close `client` and stop the server."""
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
