"""A backend whose use is counted, and whose answers can be held up."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from relevo_server.keys import Key
from relevo_server.storage import Storage
from relevo_server.storage.interface import Gap, Read, Tail


class Spy:
    """Stands between a backend, of whatever kind, and those who read from it."""

    def __init__(self, storage: Storage, patch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        """How often entries were read."""
        self.looks = 0
        """How often a log was looked at."""
        self.ends = 0
        """How often whoever looked at a log, or waited for it, was made to stop."""
        self.looks_go_on = asyncio.Event()
        """Unset: who looks at a log gets no answer."""
        self.answers_go_on = asyncio.Event()
        """Unset: what was read of entries is on its way, and does not arrive."""
        self.gap: Gap | None = None
        """What the next look at a log says."""
        self._storage = storage
        self._wait, self._read, self._tail = storage.wait, storage.read, storage.tail
        self.looks_go_on.set()
        self.answers_go_on.set()
        for name in ("read", "tail", "wait"):
            patch.setattr(storage, name, getattr(self, name))

    async def read(self, keys: Sequence[Key], known_versions: Sequence[int] = ()) -> Read:
        """Read entries, and hold the answer up."""
        self.reads += 1
        read = await self._read(keys, known_versions)
        await self.answers_go_on.wait()
        return read

    async def tail(self, *args: Any, **options: Any) -> Tail:
        """Look at a log, when that may go on."""
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
