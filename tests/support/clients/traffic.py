"""Traffic for tests of faults: a writer that counts up, and readers that check their answers.

The writer puts 1, 2, 3… under one key, each with the previous version as the condition: so
there is one order, even if the outcome of a Put is unknown. An acknowledged number ends the
one before. The readers check these promises of the near cache:

- An entry from `resolve` is no older than the reference.
- An entry from `peek` had not ended more than `max_staleness` seconds before.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from relevo_client import (
    AsyncContextClient,
    ConflictError,
    ContextKey,
    ContextRef,
    ExecutionContext,
    UnavailableError,
)

from support.waiting import until_async

_PAUSE = 0.005


class Acknowledged(NamedTuple):
    """A Put that the store has acknowledged."""

    number: int
    ref: ContextRef
    at: float


class Writer:
    """Counts up under a key, despite faults."""

    def __init__(self, client: AsyncContextClient, key: ContextKey) -> None:
        self._client = client
        self._key = key
        self.log: list[Acknowledged] = []
        self.failures = 0
        """The number of Puts with an unknown outcome."""

    @property
    def last(self) -> Acknowledged:
        """The last acknowledged number."""
        return self.log[-1]

    def ended(self, number: int) -> float:
        """The time at which a later number was acknowledged, or infinity."""
        i = bisect_right(self.log, number, key=lambda each: each.number)
        return self.log[i].at if i < len(self.log) else float("inf")

    async def begin(self) -> None:
        """Put 0."""
        ref = await self._client.put(self._key, _context(0), if_absent=True)
        self.log.append(Acknowledged(0, ref, time.monotonic()))

    async def run(self) -> None:
        """Count up until cancelled."""
        version, number, is_known = self.last.ref.revision, self.last.number, True
        while True:
            number += 1
            try:
                ref = await self._client.put(self._key, _context(number), if_version=version)
            except UnavailableError:
                self.failures += 1
                is_known = False
            except ConflictError as error:
                if is_known:
                    raise
                # A conflict with an own Put whose acknowledgement was lost.
                version = error.current_version
            else:
                self.log.append(Acknowledged(number, ref, time.monotonic()))
                version, is_known = ref.revision, True
            await asyncio.sleep(_PAUSE)


class CheckingReader:
    """Reads a writer's numbers from a near cache, and checks each answer."""

    def __init__(self, client: AsyncContextClient, writer: Writer, max_staleness: float) -> None:
        self._client = client
        self._writer = writer
        self._max_staleness = max_staleness
        self.reads = 0
        """The number of fenced reads that succeeded."""

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            self._peek()
            with suppress(UnavailableError):
                await self._resolve()
            await asyncio.sleep(_PAUSE)

    async def converged(self) -> bool:
        """Whether the cache has the writer's last number."""
        entry = self._client.peek(self._writer.last.ref.key)
        return entry is not None and _number(entry.context) >= self._writer.last.number

    def _peek(self) -> None:
        now = time.monotonic()
        entry = self._client.peek(self._writer.last.ref.key)
        if entry:
            late = now - self._writer.ended(_number(entry.context))
            assert late < self._max_staleness, f"a copy was in use {late:.2f} s after its end"

    async def _resolve(self) -> None:
        fence = self._writer.last
        entry = await self._client.resolve(fence.ref)
        assert _number(entry.context) >= fence.number, f"behind the fence {fence}: {entry}"
        assert entry.revision >= fence.ref.revision
        self.reads += 1


@asynccontextmanager
async def traffic(writer: Writer, readers: list[CheckingReader]) -> AsyncGenerator[None, None]:
    """Write and read in the background. A failed check ends the block."""
    await writer.begin()
    async with asyncio.TaskGroup() as group:
        runs = [writer.run(), *(reader.run() for reader in readers)]
        tasks = [group.create_task(run) for run in runs]
        yield
        for task in tasks:
            task.cancel()


async def converge(writer: Writer, readers: list[CheckingReader]) -> float:
    """Wait until every reader sees a number acknowledged from now on. Returns the seconds."""
    begin = time.monotonic()

    async def is_heard() -> bool:
        return writer.last.at > begin

    await until_async(is_heard, within=20, what="a Put is acknowledged again")
    for reader in readers:
        await until_async(reader.converged, within=20, what="every reader sees it")
    return time.monotonic() - begin


async def assert_nothing_is_lost(client: AsyncContextClient, writer: Writer) -> None:
    """Check that the store has the last acknowledged number, or a later one of unknown outcome."""
    entry = await client.get(writer.last.ref.key)
    assert _number(entry.context) >= writer.last.number
    # The writer uses compare-and-set: if a Put had been lost, a later one would have failed.
    revisions = [each.ref.revision for each in writer.log]
    assert revisions == sorted(set(revisions))


def _context(number: int) -> ExecutionContext:
    return ExecutionContext(user_id=str(number))


def _number(context: ExecutionContext) -> int:
    return int(context.user_id)
