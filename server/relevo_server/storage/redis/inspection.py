"""The state and usage of the Redis backend, for operators."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from relevo_server import errors, revisions
from relevo_server.keys import partition_of
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
from relevo_server.storage.redis import records
from relevo_server.storage.redis.client import Client, Script
from relevo_server.storage.redis.connection import Argument
from relevo_server.storage.redis.recount import Recount

Run = Callable[[Script, Sequence[str], Sequence[Argument]], Awaitable[Any]]
"""Runs a script with keys and arguments."""

_ASKED = 64
"""Partitions that are asked about in a Cluster: every node has some of them."""
_HISTORY = Script("history")
_LOG_STATE = Script("log_state")
_SCAN = Script("scan")
_SIZES = Script("sizes")
_USAGE = Script("usage")

_SEARCHED_TOGETHER = 1000
_SIZED_TOGETHER = 250
"""Names that one script searches, entries that one sizes: it takes them less than a millisecond."""
_TURN_SHARE = 0.9
"""The share of an interval in which no other server recounts: then it is due again."""


class RedisInspection(Inspection):
    """Asks Redis or a Redis Cluster, by scripts."""

    def __init__(
        self, client: Client, run: Run, *, partitions: int, prefix: str, log_length: int
    ) -> None:
        self.kind = client.kind
        self._client = client
        self._sampler = client.sampler(prefix, partitions)
        self._run = run
        self._partitions = partitions
        self._prefix = prefix
        self._log_length = log_length

    async def database_status(self) -> DatabaseStatus:
        """Ask the one Redis or Sentinel master, or every master of a Cluster."""
        return await self._client.database_status()

    async def refusals(self) -> Mapping[str, str]:
        """Run a script, in a Cluster for many partitions: each node has users of its own.

        What one node refuses is returned even if another one does not answer.
        """
        is_cluster = self.kind.endswith("cluster")
        partitions = range(min(self._partitions, _ASKED) if is_cluster else 1)
        unused = [records.unused(self._tag(partition)) for partition in partitions]
        answers = await asyncio.gather(*map(self._client.refusals, unused), return_exceptions=True)
        refused: dict[str, str] = {}
        failed: list[BaseException] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                failed.append(answer)
            else:
                refused |= answer
        if failed and not refused:
            raise failed[0]
        return refused

    async def usage(self) -> Usage:
        """Take a sample."""
        return await self._sampler.sample()

    async def held(self, tenant_id: str) -> Held:
        """Run one script."""
        usage = records.usage(self._tag(partition_of(tenant_id, self._partitions)))
        return Held(*await self._run(_USAGE, [usage], [tenant_id]))

    async def recount(self, limits_of: LimitsOf, interval: float) -> None:
        """Search all names in the database, if it is this server's turn."""
        scan, turn = self._client.scan_all, _TURN_SHARE * interval
        recount = Recount(scan, self._run, self._prefix, self._partitions, turn)
        await recount.run(limits_of)

    async def log_state(self, partition: int) -> LogState:
        """Run one script."""
        tag = self._tag(partition)
        answer = await self._run(_LOG_STATE, [f"{tag}:state", f"{tag}:log"], ())
        revision, length, first = answer
        return LogState(revisions.from_log_id(revision), length, revisions.from_log_id(first))

    async def history(self, partition: int, before: int | None, limit: int) -> LogPage:
        """Run one script."""
        tag = self._tag(partition)
        args: list[Argument] = ["" if before is None else revisions.to_log_id(before), limit]
        answer = await self._run(_HISTORY, [f"{tag}:state", f"{tag}:log"], args)
        revision, length, found = answer
        return LogPage(
            [records.event(log_id, fields) for log_id, fields in found],
            revisions.from_log_id(revision),
            is_last=len(found) < limit,
            is_trimmed=length >= self._log_length,
        )

    async def scan(self, tenant_id: str, scope: str, cursor: str, count: int) -> Scanned:
        """Run one script, with SCAN on the partition's node."""
        if not records.is_cursor(cursor):
            raise errors.page_token_unknown()
        tag = self._tag(partition_of(tenant_id, self._partitions))
        cursor, names = await self._names(tag, tenant_id, scope, cursor, count)
        return Scanned(
            [key for name in names for key in records.keys_named(tag, tenant_id, name)], cursor
        )

    async def sizes(self, tenant_id: str) -> AsyncGenerator[Sequence[tuple[str, int]]]:
        """Search all names, and run a script for some of those that are found at a time."""
        tag = self._tag(partition_of(tenant_id, self._partitions))
        tenant_floor, cursor = records.floor(tenant_id, ""), ""
        while True:
            cursor, found = await self._names(tag, tenant_id, "", cursor, _SEARCHED_TOGETHER)
            names = list(dict.fromkeys(found))
            for i in range(0, len(names), _SIZED_TOGETHER):
                scopes = {
                    name.decode(): entry[2]
                    for name in names[i : i + _SIZED_TOGETHER]
                    if (entry := records.entry_named(name))
                }
                floors = [records.floor(tenant_id, scope) for scope in scopes.values()]
                answer = await self._run(_SIZES, [f"{tag}:state", *scopes], [tenant_floor, *floors])
                yield [each for each in zip(scopes.values(), answer, strict=True) if each[1] >= 0]
            if not cursor:
                return

    async def _names(
        self, tag: str, tenant_id: str, scope: str, cursor: str, count: int
    ) -> tuple[str, Sequence[bytes]]:
        """The next cursor, "" at the end, and the names of a tenant's entries."""
        args: list[Argument] = [cursor or "0", records.pattern(tag, tenant_id, scope), count]
        following, names = await self._run(_SCAN, [f"{tag}:state"], args)
        return "" if following == b"0" else following.decode(), names

    def _tag(self, partition: int) -> str:
        return records.hash_tag(self._prefix, partition)
