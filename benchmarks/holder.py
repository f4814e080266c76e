"""A worker whose near cache holds contexts, and that says what memory it has for them.

Of the process, as the system counts it (RSS): with all that comes with a context, be it
protobuf's, pydantic's, the interpreter's or malloc's.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from typing import Any

import psutil
from relevo_client import AsyncContextClient, CacheOptions, ContextKey
from support.waiting import until_async

from benchmarks.workers import answer

_WARMING = 500
"""Contexts that are held before it is counted: code and buffers that the first ones need."""


class Holder:
    """What the worker can do."""

    async def hold(self, address: str, keys: Sequence[str], resolved: bool) -> float:
        """The bytes of memory for each of these contexts, resolved or only received."""
        options = CacheOptions()
        async with AsyncContextClient(address, timeout=10, cache=options) as client:
            watched = [ContextKey.parse(key) for key in keys]
            await _have(client, watched[:_WARMING], resolved)
            before = _memory()
            await _have(client, watched[_WARMING:], resolved)
            return (_memory() - before) / (len(watched) - _WARMING)

    async def trace(self) -> None:
        """Count what Python allocates instead."""
        tracemalloc.start()


async def _have(client: Any, keys: Sequence[ContextKey], resolved: bool) -> None:
    for key in keys:
        client.peek(key)  # it is watched from now on
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
    await asyncio.sleep(0)  # the stream goes on: copies that hear nothing are not trusted


def _memory() -> int:
    gc.collect()
    if tracemalloc.is_tracing():
        return tracemalloc.get_traced_memory()[0]
    memory: int = psutil.Process().memory_info().rss
    return memory


async def main() -> None:
    """Be a worker."""
    able = Holder()
    await answer({"hold": able.hold, "trace": able.trace})


if __name__ == "__main__":
    asyncio.run(main())
