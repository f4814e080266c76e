"""Samples the usage of a store: its entries, its bytes, and the length of its logs.

A sample takes about the same time for a store of any size: it examines some logs and some keys.
Several samples together examine all of them.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from relevo_server.storage.inspection import Usage
from relevo_server.storage.redis import records
from relevo_server.storage.redis.pool import FAILURES, Pool
from relevo_server.storage.redis.status import info, memory_of

_LOGS = 8
"""Logs whose length one sample asks for."""
_SCANS = 8
"""Steps of SCAN that one sample takes on each server."""
_COUNT = 1000
"""Keys that Redis examines in one step, which takes it less than a millisecond."""


class _Count:
    """A count of the entries on one server, by SCAN."""

    def __init__(self) -> None:
        self.last: int | None = None
        """The entries that the last complete SCAN found; None before the first one is complete."""
        self._cursor = 0
        self._found = 0

    async def go_on(self, pool: Pool, pattern: str) -> None:
        """Examine the next keys. Raises RedisError or OSError."""
        for _ in range(_SCANS):
            cursor, keys = await pool.execute_command(
                *("SCAN", self._cursor, "MATCH", pattern, "COUNT", _COUNT)
            )
            self._cursor = int(cursor)
            self._found += len(keys)
            if self._cursor == 0:
                self.last, self._found = self._found, 0
                return


class Sampler:
    """Samples the store whose logs and entries have this prefix.

    `masters` returns a pool for each server that may be written, and `command` sends a command to
    the server of its key.
    """

    def __init__(
        self,
        masters: Callable[[], Awaitable[Sequence[Pool]]],
        command: Callable[..., Awaitable[Any]],
        prefix: str,
        partitions: int,
    ) -> None:
        self._masters = masters
        self._command = command
        self._prefix = prefix
        self._partitions = partitions
        self._lengths: dict[int, int] = {}
        self._next = 0
        self._counts: dict[Pool, _Count] = {}

    async def sample(self) -> Usage:
        """Take a sample. A figure is None if the server refuses it or does not report it."""
        masters = await self._masters()
        used, most = memory_of(await info(masters, "memory"))
        await self._measure_logs()
        return Usage(
            log_length=max(self._lengths.values(), default=None),
            entries=await self._count(masters),
            size=used or None,
            max_size=most or None,
        )

    async def _measure_logs(self) -> None:
        for _ in range(min(_LOGS, self._partitions)):
            partition = self._next
            self._next = (partition + 1) % self._partitions
            try:
                length = await self._command(
                    "XLEN", f"{records.hash_tag(self._prefix, partition)}:log"
                )
            except FAILURES:
                return
            self._lengths[partition] = int(length)

    async def _count(self, masters: Sequence[Pool]) -> int | None:
        self._counts = {pool: self._counts.get(pool) or _Count() for pool in masters}
        for pool, count in self._counts.items():
            try:
                await count.go_on(pool, f"{records.hash_tag(self._prefix, '*')}:entry:*")
            except FAILURES:
                return None
        return _sum(count.last for count in self._counts.values())


def _sum(values: Any) -> int | None:
    """The sum; None if there are no values, or one is not known."""
    known = list(values)
    return None if not known or None in known else sum(known)
