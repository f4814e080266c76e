"""The key ring that a server uses, kept current: a new one needs no restart."""

import asyncio
from collections.abc import Callable, Hashable
from contextvars import Context
from time import monotonic
from typing import TypeVar

from relevo_server import errors
from relevo_server.logs import LogThrottle, log
from relevo_server.storage.encrypted.ring import KeyRing, KeyRingError, UnknownKeyError
from relevo_server.storage.encrypted.sources import Source

_PATIENCE = 1.0
"""Seconds for which a ring that lacks a key is not loaded again."""
_RECENT = 5.0
"""Seconds for which a ring counts as new if its source seems unchanged."""
_Result = TypeVar("_Result")


class Rings:
    """Loads the ring when it is first used, and again when its source changes.

    If the source has become unreadable, the last ring stays in use.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ring: KeyRing | None = None
        self._state: Hashable = None
        self._loaded = 0.0
        self._loading = asyncio.Lock()
        self._reloading: asyncio.Task[None] | None = None
        self._failures = LogThrottle()
        self._missing = LogThrottle()

    async def ring(self) -> KeyRing:
        """The ring. Raises KeyRingError if it cannot be loaded the first time."""
        if self._ring is None:
            async with self._loading:
                if self._ring is None:
                    await self._load()
        assert self._ring  # noqa: S101 - loaded above
        return self._ring

    def follow(self) -> None:
        """Load the ring again, in the background, if its source has changed."""
        is_idle = self._reloading is None or self._reloading.done()
        if self._ring and is_idle and self._source.state(monotonic()) != self._state:
            # In an empty context: no call's deadline applies to it.
            self._reloading = asyncio.create_task(self._reload(0.0), context=Context())

    async def newest(self) -> KeyRing:
        """The ring as its source has it now, unless that was loaded in the last seconds."""
        await self.ring()
        has_changed = self._source.state(monotonic()) != self._state
        await self._reload(0.0 if has_changed else _RECENT)
        return await self.ring()

    async def using(self, function: Callable[[KeyRing], _Result]) -> _Result:
        """The result of a function of the ring.

        If the ring lacks a key, it is loaded again first. Raises UNAVAILABLE if it still does:
        other servers may have the key. Raises InvalidTag as the function does.
        """
        ring = await self.ring()
        try:
            return function(ring)
        except UnknownKeyError:
            await self._reload(_PATIENCE)
        try:
            return function(await self.ring())
        except UnknownKeyError as error:
            if self._missing.is_due(monotonic()):
                log.error("encryption.key_missing", ring_key=error.name, count=self._missing.count)
            raise errors.unavailable("the server's key ring lacks a key of the store") from None

    async def close(self) -> None:
        """Stop loading."""
        if self._reloading:
            self._reloading.cancel()
            await asyncio.wait([self._reloading])

    async def _reload(self, age: float) -> None:
        """Load the ring, unless the one in use is younger than `age` seconds."""
        async with self._loading:
            if monotonic() - self._loaded < age:
                return
            try:
                await self._load()
            except KeyRingError as error:
                if self._failures.is_due(monotonic()):
                    log.error(
                        "encryption.ring_unusable", cause=str(error), count=self._failures.count
                    )

    async def _load(self) -> None:
        # The state comes first: a change while the ring is read is noticed later.
        self._state, self._loaded = self._source.state(monotonic()), monotonic()
        self._ring = await self._source.load()
