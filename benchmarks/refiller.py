"""A worker with a near cache that is filled repeatedly.

It counts the resets on its stream: a refill needs none. It stands for a process on another
machine, but shares a core with Redis and with the client whose Gets are measured. So it runs only
while they need no CPU: with a low priority, they would still wait for its time slices.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from relevo.v1.store_pb2 import WatchResponse
from relevo_client import AsyncContextClient, CacheOptions, ContextKey
from support.waiting import until_async

from benchmarks.workers import serve_commands

_AT_A_TIME = 4
_LONGEST = 60.0


class Refiller:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._keys: Sequence[ContextKey] = ()
        self._resets = 0
        self._client: AsyncContextClient

    async def open(self, address: str, names: Sequence[str]) -> None:
        """Open a client for these entries."""
        self._keys = [ContextKey.parse(name) for name in names]
        client = AsyncContextClient(address, timeout=30, cache=CacheOptions())
        self._client = await self._stack.enter_async_context(client)
        cache = client._watcher._cache  # type: ignore[union-attr] # has a cache
        received = cache.received

        def receive(message: WatchResponse, now: float) -> bool:
            self._resets += message.HasField("reset")
            return received(message, now)

        cache.received = receive  # type: ignore[method-assign] # to count

    async def use(self) -> None:
        """Resolve all entries, a few at a time."""
        keys = iter(self._keys)

        async def one_after_another() -> None:
            for key in keys:
                await self._client.resolve(key)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(one_after_another())

    async def lose(self) -> None:
        """Wait until the cache trusts no copy any more, after the server has stopped."""

        async def has_none() -> bool:
            return not any(self._client.peek(key) for key in self._keys[:10])

        await until_async(has_none)

    async def learn(self, mark: str) -> tuple[float, int]:
        """Wait until the cache has this value of each entry. Returns the seconds and resets.

        It makes no calls: peeking at an entry only subscribes to it.
        """
        start, self._resets = time.monotonic(), 0
        missing = [key for key in self._keys if not self._has(key, mark)]

        async def has_all() -> bool:
            # One by one: peeking at all of them each time would take all of the CPU.
            while missing and self._has(missing[-1], mark):
                missing.pop()
            return not missing

        await until_async(has_all, within=_LONGEST)
        return time.monotonic() - start, self._resets

    async def cpu(self) -> float:
        """The CPU seconds that this process has used."""
        return time.process_time()

    async def close(self) -> None:
        """Close the client."""
        await self._stack.aclose()

    def _has(self, key: ContextKey, mark: str) -> bool:
        entry = self._client.peek(key)
        return entry is not None and entry.context.user_id == mark


async def main() -> None:
    """Run as a worker."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    commands = Refiller()
    methods = commands.open, commands.use, commands.learn, commands.lose
    each = *methods, commands.cpu, commands.close
    await serve_commands({method.__name__: method for method in each})


if __name__ == "__main__":
    asyncio.run(main())
