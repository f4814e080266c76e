"""The state and usage of the in-memory backend, for operators."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import chain
from typing import TypeVar

from relevo_server import errors
from relevo_server.keys import Key, partition_of
from relevo_server.quotas import LimitsOf
from relevo_server.storage.events import LogPage
from relevo_server.storage.inspection import (
    DatabaseStatus,
    Held,
    Inspection,
    LogState,
    Scanned,
    Usage,
)
from relevo_server.storage.memory.state import Partition, live_entry

_TOGETHER = 1000
"""Entries that are looked at in one turn of the loop: calls wait for no more."""

_Item = TypeVar("_Item")


class MemoryInspection(Inspection):
    """Looks into the partitions.

    `clock` gives seconds since 1970, `monotonic` seconds that never go back.
    """

    kind = "memory"

    def __init__(
        self,
        partitions: Sequence[Partition],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._partitions = partitions
        self._clock = clock
        self._monotonic = monotonic

    async def database_status(self) -> DatabaseStatus:
        """Only the clock is known."""
        return DatabaseStatus(clock_offset=self._clock() - time.time())

    async def usage(self) -> Usage:
        """Add the partitions up. The size is that of the contexts."""
        entries = list(chain.from_iterable(each.entries.values() for each in self._partitions))
        size = 0
        async for some in _in_turns(entries):
            size += sum(len(entry.context) for entry in some)
        log_length = max(len(part.log) for part in self._partitions)
        return Usage(log_length=log_length, entries=len(entries), size=size)

    async def held(self, tenant_id: str) -> Held:
        """Look the count up."""
        return self._partition_of(tenant_id).held.get(tenant_id, Held(0, 0))

    async def recount(self, limits_of: LimitsOf, interval: float) -> None:
        """Drop dead entries; all others are counted as they come and go."""
        del limits_of, interval
        for part in self._partitions:
            part.drop_dead_entries(self._monotonic())
            await asyncio.sleep(0)

    async def log_state(self, partition: int) -> LogState:
        """Look at the log's ends."""
        part = self._partitions[partition]
        return LogState(part.revision, len(part.log), part.log[0].revision if part.log else 0)

    async def history(self, partition: int, before: int | None, limit: int) -> LogPage:
        """Find the place in the log, which is ordered by revision."""
        part = self._partitions[partition]
        log = part.log
        end = len(log) if before is None else bisect_left(log, before, key=lambda e: e.revision)
        first = max(0, end - limit)
        events = [log[i] for i in range(end - 1, first - 1, -1)]
        return LogPage(events, part.revision, first == 0, len(log) == log.maxlen)

    async def scan(self, tenant_id: str, scope: str, cursor: str, count: int) -> Scanned:
        """The next keys in their order. The cursor is the text form of the last one."""
        try:
            last = Key.parse(cursor) if cursor else None
        except ValueError:
            raise errors.page_token_unknown() from None
        part = self._partition_of(tenant_id)
        keys: list[Key] = []
        async for some in _in_turns(list(part.entries)):
            found = (
                key
                for key in some
                if key.tenant_id == tenant_id
                and scope in ("", key.scope)
                and (last is None or key > last)
            )
            keys = sorted(chain(keys, found))[:count]
        return Scanned(keys, str(keys[-1]) if len(keys) == count else "")

    async def sizes(self, tenant_id: str) -> AsyncGenerator[Sequence[tuple[str, int]]]:
        """Look at the partition's entries."""
        part, now = self._partition_of(tenant_id), self._monotonic()
        async for some in _in_turns(list(part.entries)):
            yield [
                (key.scope, len(entry.context))
                for key in some
                if key.tenant_id == tenant_id and (entry := live_entry(part, key, now))
            ]

    def _partition_of(self, tenant_id: str) -> Partition:
        return self._partitions[partition_of(tenant_id, len(self._partitions))]


async def _in_turns(items: Sequence[_Item]) -> AsyncGenerator[Sequence[_Item], None]:
    """The items, as many at a time as are looked at in one turn of the loop."""
    for i in range(0, len(items), _TOGETHER):
        yield items[i : i + _TOGETHER]
        await asyncio.sleep(0)
