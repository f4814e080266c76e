"""A spy on a backend, which counts its calls and can delay its answers."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from relevo_server.keys import Key
from relevo_server.storage import Storage
from relevo_server.storage.events import Gap, Tail
from relevo_server.storage.interface import Limits, Read


class Spy:
    """Wraps a backend of any kind."""

    def __init__(self, storage: Storage, patch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        """The number of reads of entries."""
        self.looks = 0
        """The number of polls of a log."""
        self.ends = 0
        """The number of polls of a log, or waits for it, that were cancelled."""
        self.looks_go_on = asyncio.Event()
        """While unset, polls of a log get no answer."""
        self.answers_go_on = asyncio.Event()
        """While unset, the answers of reads are in flight and do not arrive."""
        self.gap: Gap | None = None
        """The gap that the next poll of a log returns."""
        self._storage = storage
        self._wait, self._read, self._tail = storage.wait, storage.read, storage.tail
        self.looks_go_on.set()
        self.answers_go_on.set()
        for name in ("read", "tail", "wait"):
            patch.setattr(storage, name, getattr(self, name))

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Read entries, and delay the answer."""
        self.reads += 1
        read = await self._read(keys, known_versions, limits)
        await self.answers_go_on.wait()
        return read

    async def tail(self, *args: Any, **options: Any) -> Tail:
        """Poll a log, once polls may continue."""
        self.looks += 1
        with self._told_of_ends():
            await self.looks_go_on.wait()
            tail = await self._tail(*args, **options)
        if self.gap:
            tail, self.gap = Tail(tail.revision, [], self.gap), None
        return tail

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Wait for a log."""
        with self._told_of_ends():
            await self._wait(partition, position, seconds)

    @contextmanager
    def _told_of_ends(self) -> Generator[None, None, None]:
        try:
            yield
        except asyncio.CancelledError:
            self.ends += 1
            raise
