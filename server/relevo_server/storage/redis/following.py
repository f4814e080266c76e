"""Reads the logs of partitions, and waits for their changes."""

from collections.abc import Sequence
from typing import NamedTuple

from relevo_server import revisions
from relevo_server.storage.events import Gap, Tail
from relevo_server.storage.redis import records
from relevo_server.storage.redis.client import Client, Script
from relevo_server.storage.redis.connection import Argument
from relevo_server.storage.redis.tracking import Unchanged

_TAIL = Script("tail")


class _LastRead(NamedTuple):
    """The last read of a partition's log."""

    revision: int
    unchanged: Unchanged


class Following:
    """The logs of one store. All that are on one node are read on one connection to it."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._last_reads: dict[int, _LastRead] = {}

    async def tail(
        self, partition: int, position: int | None, limit: int, seen: Sequence[int]
    ) -> Tail:
        """As `Storage.tail`: one script."""
        tag = records.hash_tag(self._prefix, partition)
        after = "" if position is None else revisions.to_log_id(position)
        args: list[Argument] = [after, limit, *map(revisions.to_log_id, seen)]
        answer, unchanged = await self._client.read_log(_TAIL, [f"{tag}:state", f"{tag}:log"], args)
        kind, revision, *rest = answer
        reached = revisions.from_log_id(revision)
        self._last_reads[partition] = _LastRead(reached, unchanged)
        if kind != b"ok":
            return Tail(reached, [], Gap(kind.decode()))
        (events,) = rest
        return Tail(reached, [records.event(log_id, fields) for log_id, fields in events])

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """As `Storage.wait`. Sends nothing: the last read has asked Redis to tell of a change."""
        last = self._last_reads.get(partition)
        # Another read may have been later: what it found is news to this caller.
        if last and last.revision == position:
            await self._client.wait(last.unchanged, seconds)
