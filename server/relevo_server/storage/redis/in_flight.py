"""Reads of entries that are under way."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from relevo_server.keys import Key


class InFlightReads:
    """The reads in flight. A later read may wait for their contexts, which are then cached."""

    def __init__(self) -> None:
        self._ends: dict[Key, asyncio.Future[None]] = {}

    async def end_of(self, keys: Sequence[Key]) -> None:
        """Wait for the reads of these keys that are in flight now."""
        others = {self._ends[key] for key in keys if key in self._ends}
        if others:
            await asyncio.wait(others)

    @contextmanager
    def marked(self, keys: Sequence[Key]) -> Generator[None, None, None]:
        """Mark these keys as being read, within a `with` block."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.update(dict.fromkeys(keys, end))
        try:
            yield
        finally:
            for key in keys:
                if self._ends.get(key) is end:
                    del self._ends[key]
            end.set_result(None)
