"""A worker that measures the memory of the contexts in its near cache.

It measures the process's RSS, so that everything counts that comes with a context: the
memory of protobuf, pydantic, the interpreter and malloc.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from typing import Any

import psutil
from relevo_client import AsyncContextClient, CacheOptions, ContextKey
from support.waiting import until_async

from benchmarks.workers import serve_commands

_WARMING = 500
"""Contexts cached before the measurement, because the first ones also load code and buffers."""


class Holder:
    """The worker's commands."""

    async def hold(self, address: str, keys: Sequence[str], resolved: bool) -> float:
        """Cache contexts, resolved or only received, and return the bytes of memory for each."""
        options = CacheOptions()
        async with AsyncContextClient(address, timeout=10, cache=options) as client:
            watched = [ContextKey.parse(key) for key in keys]
            await _cache(client, watched[:_WARMING], resolved)
            before = _memory()
            await _cache(client, watched[_WARMING:], resolved)
            return (_memory() - before) / (len(watched) - _WARMING)

    async def trace(self) -> None:
        """Measure Python's own allocations instead of RSS."""
        tracemalloc.start()


async def _cache(client: Any, keys: Sequence[ContextKey], resolved: bool) -> None:
    for key in keys:
        client.peek(key)  # subscribes to the key
    copies = client._watcher._cache._copies

    async def all_came() -> bool:
        return all(copies[key].version for key in keys)

    await until_async(all_came, within=60)
    if resolved:
        for key in keys:
            await _resolve(client, key)


async def _resolve(client: AsyncContextClient, key: ContextKey) -> None:
    async def is_there() -> bool:
        return client.peek(key) is not None

    await until_async(is_there, within=60)
    await asyncio.sleep(0)  # lets the stream run: copies without a sign of life are not trusted


def _memory() -> int:
    gc.collect()
    if tracemalloc.is_tracing():
        return tracemalloc.get_traced_memory()[0]
    memory: int = psutil.Process().memory_info().rss
    return memory


async def main() -> None:
    """Run as a worker."""
    commands = Holder()
    await serve_commands({"hold": commands.hold, "trace": commands.trace})


if __name__ == "__main__":
    asyncio.run(main())
