"""Writers and a reader that continue despite failures, and record their results."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack, suppress
from itertools import count
from typing import NamedTuple, Self

from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextKey,
    ContextRef,
    ExecutionContext,
    StoreBehindError,
    UnavailableError,
)

from support.waiting import until_async

KEYS = [ContextKey("conversation", "acme", f"c{i}") for i in range(4)]
"""Keys of one tenant, so that one log has all of them."""
_PAUSE = 0.01


class Written(NamedTuple):
    """A write that was acknowledged."""

    ref: ContextRef
    name: str
    """The user of the context, unique to the write."""
    began: float


class Load:
    """A writer for each key, and a reader with a near cache. Use with `async with`.

    The reader requests each key as of the last acknowledged write, as a callee does.
    `writing` and `reading` are addresses of servers.
    """

    def __init__(self, *, writing: str, reading: str) -> None:
        self._writer = AsyncContextClient(writing, timeout=2)
        options = CacheOptions(max_staleness=1.0)
        self._reader = AsyncContextClient(reading, timeout=2, cache=options)
        self._latest: dict[ContextKey, Written] = {}
        self._stack = AsyncExitStack()
        self._writing: list[asyncio.Task[None]] = []
        self.acknowledged: list[Written] = []
        self.reads: list[tuple[int, int]] = []
        """The fence of each read, and the version that it returned."""

    async def __aenter__(self) -> Self:
        """Start, and wait until every key was written and read by the cache."""
        async with AsyncExitStack() as stack:
            for client in (self._writer, self._reader):
                await stack.enter_async_context(client)
            for key in KEYS:
                self._writing.append(_run(stack, self._write(key)))
            _run(stack, self._read())
            await self.settled()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def settled(self, *, writes: int = 1) -> float:
        """Wait until `writes` new writes of each key are acknowledged, and return the seconds."""
        begin = time.monotonic()

        async def is_written() -> bool:
            for task in self._writing:
                assert not task.done(), task.exception()
            written = Counter(each.ref.key for each in self.acknowledged if each.began > begin)
            return all(written[key] >= writes for key in KEYS)

        await until_async(is_written, within=30, what="writes are acknowledged")
        return time.monotonic() - begin

    async def converged(self) -> float:
        """Stop writing, and wait until the cache equals the store. Returns the seconds."""
        for task in self._writing:
            await _end(task)
        begin = time.monotonic()

        async def is_known() -> bool:
            # Read each time, because a write that timed out may still happen.
            try:
                stored = [(await self._writer.get(key)).version for key in KEYS]
            except UnavailableError:  # a busy machine took longer than a call may
                return False
            known = [self._reader.peek(key) for key in KEYS]
            return stored == [each and each.version for each in known]

        await until_async(is_known, within=20, what="the cache says what the store says")
        return time.monotonic() - begin

    async def check(self, log: Collection[int], lost: Collection[Written] = ()) -> None:
        """Check that no read was older than its fence, and that the store has all writes.

        `log` has the revisions of the store's own log; `lost` are writes that Redis itself
        has lost, as the test found. To be called at the end.
        """
        forgotten = {written.ref.revision for written in lost}
        assert self.reads
        behind = {fence for fence, version in self.reads if version < fence}
        assert behind <= forgotten
        kept = [written for written in self.acknowledged if written not in lost]
        assert [written for written in kept if written.ref.revision not in log] == []
        names = {written.ref.revision: written.name for written in kept}
        for key in KEYS:
            found = await self._writer.get(key)
            # None: a write that timed out, and happened.
            assert names.get(found.version) in (None, found.context.user_id)
            last = max(written.ref.revision for written in kept if written.ref.key == key)
            assert found.version >= last

    async def _write(self, key: ContextKey) -> None:
        for i in count():
            name, began = f"{key.id}-{i}", time.monotonic()
            with suppress(
                UnavailableError
            ):  # the write may have happened, but nothing relies on it
                ref = await self._writer.put(key, ExecutionContext(user_id=name))
                self._latest[key] = Written(ref, name, began)
                self.acknowledged.append(self._latest[key])
            await asyncio.sleep(_PAUSE)

    async def _read(self) -> None:
        while True:
            for written in list(self._latest.values()):
                with suppress(UnavailableError, StoreBehindError):  # no wrong answer
                    found = await self._reader.resolve(written.ref)
                    self.reads.append((written.ref.revision, found.version))
            await asyncio.sleep(_PAUSE)


def _run(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    stack.push_async_callback(_end, task)
    return task


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
