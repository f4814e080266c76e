"""Reads of entries that are under way."""

import asyncio
from collections.abc import Sequence

from relevo_server.keys import Key


class _Reading:
    """One read, within a `with` block. A future of its end is made once somebody waits for it."""

    __slots__ = ("_keys", "_readings", "ended")

    def __init__(self, readings: "dict[Key, _Reading]", keys: Sequence[Key]) -> None:
        self._readings = readings
        self._keys = keys
        self.ended: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        for key in self._keys:
            self._readings[key] = self

    def __exit__(self, *_: object) -> None:
        for key in self._keys:
            if self._readings.get(key) is self:
                del self._readings[key]
        if self.ended:
            self.ended.set_result(None)

    def end(self) -> asyncio.Future[None]:
        """The future of its end."""
        self.ended = self.ended or asyncio.get_running_loop().create_future()
        return self.ended


class InFlightReads:
    """The reads in flight. A later read may wait for their contexts, which are then cached."""

    def __init__(self) -> None:
        self._readings: dict[Key, _Reading] = {}

    async def end_of(self, keys: Sequence[Key]) -> None:
        """Wait for the reads of these keys that are in flight now."""
        others = {self._readings[key].end() for key in keys if key in self._readings}
        if others:
            await asyncio.wait(others)

    def marked(self, keys: Sequence[Key]) -> _Reading:
        """Mark these keys as being read, within a `with` block."""
        return _Reading(self._readings, keys)
