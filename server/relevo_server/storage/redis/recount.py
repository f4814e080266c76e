"""Recounts what tenants have in the store.

Scripts count each write and each Invalidate. Expiry and eviction are no commands of ours, and a
floor ends entries without touching them: only a search through the database's names sees these.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Any

from relevo_server.quotas import LimitsOf
from relevo_server.storage.redis import records
from relevo_server.storage.redis.client import Script
from relevo_server.storage.redis.connection import Argument

Run = Callable[[Script, Sequence[str], Sequence[Argument]], Awaitable[Any]]
"""Runs a script with keys and arguments."""

_TURN = Script("recount_turn")
_BEGIN = Script("recount_begin")
_MEASURE = Script("recount_measure")
_END = Script("recount_end")

_SEARCHED_TOGETHER = 500
"""Names that are searched in one step. It takes Redis less than a millisecond, and this server's
event loop a few."""
_MEASURED_TOGETHER = 250
"""Entries that one script measures, which takes it less than a millisecond."""
_WAITING = 50_000
"""Entries of all partitions that wait to be measured, at most."""
_REST = 3
"""Times as long as a step took, others have Redis for themselves before the next one."""


class Recount:
    """One recount of the store with this prefix.

    While it runs, and for `turn` seconds afterwards, no other server begins one. Between its
    beginning and its end, what is added is counted beside it. So the result is never too low, and
    too high by at most what was added meanwhile.
    """

    def __init__(
        self,
        scan: Callable[[str, int], AsyncGenerator[Sequence[bytes], None]],
        run: Run,
        prefix: str,
        partitions: int,
        turn: float,
    ) -> None:
        self._number = secrets.token_hex(8)
        self._turn = turn
        self._turn_until = 0.0
        self._scan = scan
        self._run = run
        self._prefix = prefix
        self._partitions = partitions
        self._found: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0, 0])
        )
        # Entries to be measured: their names with tenant and scope. SCAN may return a name twice.
        self._waiting: defaultdict[int, dict[str, Sequence[str]]] = defaultdict(dict)

    async def run(self, limits_of: LimitsOf) -> None:
        """Count the entries of the tenants that have a quota in the store, in all partitions.

        Does nothing if another recount has the turn. Raises StoreError; then all counts stay as
        they were.
        """
        if not await self._has_turn():
            return
        for partition in range(self._partitions):
            await self._run(_BEGIN, [self._usage(partition)], [self._number])
        pattern = f"{records.hash_tag(self._prefix, '*')}:entry:*"
        async with aclosing(self._scan(pattern, _SEARCHED_TOGETHER)) as found:
            begun = monotonic()
            async for names in found:
                await self._add(names, limits_of)
                if not await self._has_turn():
                    return  # it took very long for one step, and another recount has begun
                await asyncio.sleep(_REST * (monotonic() - begun))
                begun = monotonic()
        for partition in list(self._waiting):
            await self._measure(partition)
        for partition in range(self._partitions):
            args: list[Argument] = [self._number]
            for tenant_id, counts in self._found[partition].items():
                args += [tenant_id, *counts]
            await self._run(_END, [self._usage(partition)], args)

    async def _has_turn(self) -> bool:
        """Take the turn, or keep it."""
        now = monotonic()
        if now < self._turn_until - self._turn / 2:
            return True
        record, milliseconds = f"{self._prefix}:recount", max(1, round(self._turn * 1000))
        self._turn_until = now + self._turn
        return bool(await self._run(_TURN, [record], [self._number, milliseconds]))

    async def _add(self, names: Sequence[bytes], limits_of: LimitsOf) -> None:
        """Add names to those that wait to be measured, and measure what is enough for a script."""
        for name in names:
            entry = records.entry_named(name)
            if entry and limits_of(entry[1]):
                partition, *owner = entry
                self._waiting[partition][name.decode()] = owner
        most = _MEASURED_TOGETHER
        if sum(map(len, self._waiting.values())) > _WAITING:
            most = 1
        for partition, entries in list(self._waiting.items()):
            if len(entries) >= most:
                await self._measure(partition)

    async def _measure(self, partition: int) -> None:
        """Measure the entries of a partition that wait for it."""
        entries = list(self._waiting.pop(partition).items())
        state = f"{records.hash_tag(self._prefix, partition)}:state"
        for i in range(0, len(entries), _MEASURED_TOGETHER):
            some = entries[i : i + _MEASURED_TOGETHER]
            names = [name for name, _ in some]
            floors: list[Argument] = []
            for _, (tenant_id, scope) in some:
                floors += records.floor(tenant_id, ""), records.floor(tenant_id, scope)
            sizes = await self._run(_MEASURE, [state, *names], floors)
            for (_, (tenant_id, _)), size in zip(some, sizes, strict=True):
                if size >= 0:
                    counts = self._found[partition][tenant_id]
                    counts[0] += 1
                    counts[1] += size

    def _usage(self, partition: int) -> str:
        return records.usage(records.hash_tag(self._prefix, partition))
