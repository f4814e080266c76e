"""A worker in which many tasks miss the same entry at once, and one of all makes it.

Either they call `get_or_create`, or they do by hand what a service would do on Redis:
GET, and whoever gets the lock by SET NX makes the value; the others try again as often
as redis-py's own Lock does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis import asyncio as redis
from relevo_client import AsyncContextClient, CacheOptions, ContextKey, ExecutionContext

from benchmarks.workers import answer

FACTORY = 0.05
"""Seconds that it takes to make the entry."""
_RETRY = 0.1
_LOCK_MS = 10_000


class Misser:
    """What the worker can do. The clients stay, so that connecting is not in the figures."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    async def relevo(self, tasks: int, name: str, address: str) -> tuple[int, int, int]:
        """`get_or_create` in each task."""
        if address not in self._clients:
            client = AsyncContextClient(address, timeout=10, cache=CacheOptions())
            self._clients[address] = client
        client = self._clients[address]
        key = ContextKey("conversation", "acme", name)
        made = 0

        async def factory(_: ContextKey) -> ExecutionContext:
            nonlocal made
            made += 1
            await asyncio.sleep(FACTORY)
            return ExecutionContext(user_id=name)

        begun, ended = await _in_all(tasks, lambda: client.get_or_create(key, factory, timeout=30))
        return begun, ended, made

    async def lock(self, tasks: int, name: str, url: str) -> tuple[int, int, int]:
        """GET, SET NX, and again, in each task."""
        if url not in self._clients:
            library: Any = redis  # whose types are only half known
            pool = library.BlockingConnectionPool.from_url(url, timeout=None)
            self._clients[url] = library.Redis.from_pool(pool)
        client = self._clients[url]
        made = 0

        async def get_or_create() -> bytes:
            nonlocal made
            while True:
                found: bytes | None = await client.get(name)
                if found:
                    return found
                if await client.set(f"{name}:lock", b"", nx=True, px=_LOCK_MS):
                    if not await client.exists(name):  # made since it was looked for
                        made += 1
                        await asyncio.sleep(FACTORY)
                        await client.set(name, name)
                    await client.delete(f"{name}:lock")
                else:
                    await asyncio.sleep(_RETRY)

        begun, ended = await _in_all(tasks, get_or_create)
        return begun, ended, made

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await (client.close if isinstance(client, AsyncContextClient) else client.aclose)()


async def _in_all(tasks: int, do: Callable[[], Awaitable[object]]) -> tuple[int, int]:
    """When the first of so many began, and when the last one was done."""
    begun = time.monotonic_ns()  # on Linux the same clock for all processes
    await asyncio.gather(*(do() for _ in range(tasks)))
    return begun, time.monotonic_ns()


async def main() -> None:
    """Be a worker."""
    able = Misser()
    await answer({"relevo": able.relevo, "lock": able.lock, "close": able.close})


if __name__ == "__main__":
    asyncio.run(main())
