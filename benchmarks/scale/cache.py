"""A worker with a real near cache, which looks at how long it serves an outdated value."""

import asyncio
import time
from contextlib import AsyncExitStack

from relevo_client import AsyncContextClient, CacheOptions, ContextKey, ExecutionContext
from support.waiting import until_async

from benchmarks.workers import serve_commands

_KEY = ContextKey("conversation", "the-real-cache", "c-1")
_PAUSE = 0.002
_LONGEST = 10.0


class Cache:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._number = 0

    async def open(self, address: str) -> None:
        """Open a client with a near cache, and another one that writes."""
        enter = self._stack.enter_async_context
        self._client = await enter(AsyncContextClient(address, timeout=30, cache=CacheOptions()))
        self._writer = await enter(AsyncContextClient(address, timeout=30))
        await self._put()
        await until_async(lambda: self._client.peek(_KEY), within=60)

    async def outdated(self, seconds: float) -> float:
        """Put new values again and again for a time.

        Returns the longest time in seconds, from the acknowledgement of a Put, after which the
        cache has still served an earlier value.
        """
        end = time.monotonic() + seconds
        longest = 0.0
        while time.monotonic() < end:
            await self._put()
            acknowledged = now = time.monotonic()
            while now - acknowledged < _LONGEST:
                entry = self._client.peek(_KEY)
                if entry is not None:
                    if entry.context.user_id == str(self._number):
                        break
                    longest = max(longest, now - acknowledged)
                await asyncio.sleep(_PAUSE)
                now = time.monotonic()
        return longest

    async def close(self) -> None:
        """Close the clients."""
        await self._stack.aclose()

    async def _put(self) -> None:
        self._number += 1
        await self._writer.put(_KEY, ExecutionContext(user_id=str(self._number)))


async def main() -> None:
    """Run as a worker."""
    commands = Cache()
    each = commands.open, commands.outdated, commands.close
    await serve_commands({method.__name__: method for method in each})


if __name__ == "__main__":
    asyncio.run(main())
