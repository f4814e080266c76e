"""A program that peeks at its near cache continuously, and prints each change with its time.

    python -m support.clients.looking TARGET KEY MAX_STALENESS

Each line is [nanoseconds of the monotonic clock before the peek, the context's user];
null if the entry is not cached. That clock is the same in all processes.
"""

import asyncio
import json
import sys
import time

from relevo_client import AsyncContextClient, CacheOptions, ContextKey

from support.clients.readers import Reader


async def _look(target: str, key: ContextKey, max_staleness: float) -> None:
    cache = CacheOptions(max_staleness=max_staleness)
    async with AsyncContextClient(target, cache=cache, timeout=10) as client:
        reader = Reader(client)
        while True:
            now = time.monotonic_ns()
            print(json.dumps([now, reader.sees(key)]), flush=True)
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(_look(sys.argv[1], ContextKey.parse(sys.argv[2]), float(sys.argv[3])))
