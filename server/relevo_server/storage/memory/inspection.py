"""The state and usage of the in-memory backend, for operators."""

import heapq
import time
from collections.abc import Callable, Sequence
from itertools import islice

from relevo_server import errors
from relevo_server.keys import Key, partition_of
from relevo_server.storage.events import LogPage
from relevo_server.storage.inspection import DatabaseStatus, Inspection, LogState, Scanned, Usage
from relevo_server.storage.memory.state import Partition


class MemoryInspection(Inspection):
    """Looks into the partitions. `clock` gives seconds since 1970."""

    kind = "memory"

    def __init__(self, partitions: Sequence[Partition], clock: Callable[[], float]) -> None:
        self._partitions = partitions
        self._clock = clock

    async def database_status(self) -> DatabaseStatus:
        """Only the clock is known."""
        return DatabaseStatus(clock_offset=self._clock() - time.time())

    async def usage(self) -> Usage:
        """Add the partitions up. The size is that of the contexts."""
        entries = [part.entries.values() for part in self._partitions]
        return Usage(
            log_length=max(len(part.log) for part in self._partitions),
            entries=sum(map(len, entries)),
            size=sum(len(entry.context) for each in entries for entry in each),
        )

    async def log_state(self, partition: int) -> LogState:
        """Look at the log's ends."""
        part = self._partitions[partition]
        return LogState(part.revision, len(part.log), part.log[0].revision if part.log else 0)

    async def history(self, partition: int, before: int | None, limit: int) -> LogPage:
        """Look at the log from its end."""
        part = self._partitions[partition]
        earlier = (e for e in reversed(part.log) if before is None or e.revision < before)
        events = list(islice(earlier, limit))
        is_last = not events or events[-1] is part.log[0]
        return LogPage(events, part.revision, is_last, len(part.log) == part.log.maxlen)

    async def scan(self, tenant_id: str, scope: str, cursor: str, count: int) -> Scanned:
        """The next keys in their order. The cursor is the text form of the last one."""
        try:
            last = Key.parse(cursor) if cursor else None
        except ValueError:
            raise errors.page_token_unknown() from None
        part = self._partitions[partition_of(tenant_id, len(self._partitions))]
        keys = heapq.nsmallest(
            count,
            (
                key
                for key in part.entries
                if key.tenant_id == tenant_id
                and scope in ("", key.scope)
                and (last is None or key > last)
            ),
        )
        return Scanned(keys, str(keys[-1]) if len(keys) == count else "")
