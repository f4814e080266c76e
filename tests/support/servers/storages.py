"""Backends that misbehave on demand."""

import asyncio
import math
from collections.abc import Sequence

from relevo_server import errors
from relevo_server.deadline import earliest
from relevo_server.keys import Key
from relevo_server.storage.interface import Limits, Read
from relevo_server.storage.memory import MemoryStorage


class GatedStorage(MemoryStorage):
    """A memory backend whose reads wait at a gate, which is open at first."""

    def __init__(self) -> None:
        super().__init__(4, log_length=1000, request_ttl_ms=600_000)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        """The number of reads that wait now."""

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Wait at the gate, then look the entries up."""
        self.waiting += 1
        try:
            async with asyncio.timeout_at(earliest(math.inf)):
                await self.gate.wait()
        except TimeoutError:
            raise errors.unavailable() from None
        finally:
            self.waiting -= 1
        return await super().read(keys, known_versions, limits)
