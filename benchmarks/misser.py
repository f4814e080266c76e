"""A worker in which many tasks miss the same entry at once, and one of them creates it.

Either they call `get_or_create`, or they do what a service would do on plain Redis: GET,
then SET NX for a lock; the task that gets the lock creates the value, and the others
retry as often as redis-py's own Lock does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis import asyncio as redis
from relevo_client import AsyncContextClient, CacheOptions, ContextKey, ExecutionContext

from benchmarks.workers import serve_commands

FACTORY = 0.05
"""Seconds that the factory takes to create the entry."""
_RETRY = 0.1
_LOCK_MS = 10_000


class Misser:
    """The worker's commands. Clients are kept, so that the figures exclude connecting.

    Each command returns the start and end in nanoseconds, and the number of creations.
    """

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    async def relevo(self, tasks: int, name: str, address: str) -> tuple[int, int, int]:
        """Run `get_or_create` in each task."""
        if address not in self._clients:
            client = AsyncContextClient(address, timeout=10, cache=CacheOptions())
            self._clients[address] = client
        client = self._clients[address]
        key = ContextKey("conversation", "acme", name)
        creations = 0

        async def factory(_: ContextKey) -> ExecutionContext:
            nonlocal creations
            creations += 1
            await asyncio.sleep(FACTORY)
            return ExecutionContext(user_id=name)

        start, end = await _in_all(tasks, lambda: client.get_or_create(key, factory, timeout=30))
        return start, end, creations

    async def lock(self, tasks: int, name: str, url: str) -> tuple[int, int, int]:
        """Run GET and SET NX in each task until the entry exists."""
        if url not in self._clients:
            library: Any = redis  # whose types are only half known
            pool = library.BlockingConnectionPool.from_url(url, timeout=None)
            self._clients[url] = library.Redis.from_pool(pool)
        client = self._clients[url]
        creations = 0

        async def get_or_create() -> bytes:
            nonlocal creations
            while True:
                found: bytes | None = await client.get(name)
                if found:
                    return found
                if await client.set(f"{name}:lock", b"", nx=True, px=_LOCK_MS):
                    if not await client.exists(name):  # created since the GET
                        creations += 1
                        await asyncio.sleep(FACTORY)
                        await client.set(name, name)
                    await client.delete(f"{name}:lock")
                else:
                    await asyncio.sleep(_RETRY)

        start, end = await _in_all(tasks, get_or_create)
        return start, end, creations

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await (client.close if isinstance(client, AsyncContextClient) else client.aclose)()


async def _in_all(tasks: int, function: Callable[[], Awaitable[object]]) -> tuple[int, int]:
    """Run a function in `tasks` tasks. Returns the times of the start and the end."""
    start = time.monotonic_ns()  # on Linux the same clock for all processes
    await asyncio.gather(*(function() for _ in range(tasks)))
    return start, time.monotonic_ns()


async def main() -> None:
    """Run as a worker."""
    commands = Misser()
    await serve_commands(
        {"relevo": commands.relevo, "lock": commands.lock, "close": commands.close}
    )


if __name__ == "__main__":
    asyncio.run(main())
