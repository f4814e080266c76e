"""Recounts what tenants have in the store.

Scripts count each write and each Invalidate. Expiry and eviction are no commands of ours, and a
floor ends entries without touching them: only a search through the database's names sees these.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Any
from urllib.parse import unquote

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

_SEARCHED_TOGETHER = 1000
"""Names that Redis examines in one step, which takes it less than a millisecond."""
_MEASURED_TOGETHER = 250
"""Entries that one script measures, which takes it less than a millisecond."""
_REST = 3
"""Times as long as a step took, others have Redis for themselves before the next one."""


class Recount:
    """One recount of the store with this prefix.

    Between its beginning and its end, what is added is counted beside it. So the result is never
    too low, and too high by at most what was added meanwhile. It takes about 4 s for each million
    names in the database, and rests for three times as long.
    """

    def __init__(
        self,
        scan: Callable[[str, int], AsyncGenerator[Sequence[bytes], None]],
        run: Run,
        prefix: str,
        partitions: int,
    ) -> None:
        self._scan = scan
        self._run = run
        self._prefix = prefix
        self._partitions = partitions
        self._found: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0, 0])
        )

    async def has_turn(self, seconds: float) -> bool:
        """Take the turn for so many seconds, unless another server has it."""
        turn = f"{self._prefix}:recount"
        return bool(await self._run(_TURN, [turn], [round(seconds * 1000)]))

    async def run(self, limits_of: LimitsOf) -> None:
        """Count the entries of the tenants that have a quota in the store, in all partitions.

        Raises StoreError; then all counts stay as they were.
        """
        number = secrets.token_hex(8)
        for partition in range(self._partitions):
            await self._run(_BEGIN, [self._usage(partition)], [number])
        pattern = f"{records.hash_tag(self._prefix, '*')}:entry:*"
        async with aclosing(self._scan(pattern, _SEARCHED_TOGETHER)) as found:
            begun = monotonic()
            async for names in found:
                await self._measure(names, limits_of)
                await asyncio.sleep(_REST * (monotonic() - begun))
                begun = monotonic()
        for partition in range(self._partitions):
            args: list[Argument] = [number]
            for tenant_id, counts in self._found[partition].items():
                args += [tenant_id, *counts]
            await self._run(_END, [self._usage(partition)], args)

    async def _measure(self, names: Sequence[bytes], limits_of: LimitsOf) -> None:
        by_partition: defaultdict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
        for name in names:
            entry = _entry(name)
            if entry and limits_of(entry[1]):
                partition, tenant_id, scope = entry
                by_partition[partition][name.decode()] = tenant_id, scope
        for partition, entries in by_partition.items():
            for some in _parts(list(entries.items())):
                await self._measure_some(partition, some)

    async def _measure_some(
        self, partition: int, entries: Sequence[tuple[str, tuple[str, str]]]
    ) -> None:
        names = [name for name, _ in entries]
        floors = [
            floor
            for _, (tenant_id, scope) in entries
            for floor in (records.floor(tenant_id, ""), records.floor(tenant_id, scope))
        ]
        state = f"{records.hash_tag(self._prefix, partition)}:state"
        sizes = await self._run(_MEASURE, [state, *names], floors)
        for (_, (tenant_id, _)), size in zip(entries, sizes, strict=True):
            if size >= 0:
                counts = self._found[partition][tenant_id]
                counts[0] += 1
                counts[1] += size

    def _usage(self, partition: int) -> str:
        return records.usage(records.hash_tag(self._prefix, partition))


def _entry(name: bytes) -> tuple[int, str, str] | None:
    """The partition, tenant and scope of an entry, by its record's name; None for a foreign one."""
    try:
        _, number, _, scope, tenant, _ = name.decode().split(":")
        return int(number.removesuffix("}")), unquote(tenant), unquote(scope)
    except ValueError:  # includes UnicodeDecodeError
        return None


def _parts(entries: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for i in range(0, len(entries), _MEASURED_TOGETHER):
        yield entries[i : i + _MEASURED_TOGETHER]
