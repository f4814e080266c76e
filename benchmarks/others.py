"""The calls of tenants that a noisy or hostile one should not disturb, and their delay.

They come one at a time, every few milliseconds: the figure is their delay, and not how many calls
the server can answer. A call that fails ends the benchmark.
"""

import asyncio
from collections.abc import Iterable, Iterator
from statistics import quantiles

from benchmarks import samples
from benchmarks.calls import path
from benchmarks.http2 import Http2Client

_PAUSE = 0.004
_REQUESTS = {"Get": samples.get_requests, "Put": samples.put_requests}


async def others(
    client: Http2Client, seconds: float, methods: Iterable[str] = tuple(_REQUESTS)
) -> dict[str, float]:
    """Call these methods in turn. Returns the 99th percentile of each in milliseconds."""
    calls: dict[str, Iterator[bytes]] = {method: _REQUESTS[method]() for method in methods}
    latencies: dict[str, list[float]] = {method: [] for method in calls}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        for method, requests in calls.items():
            taken, _ = await client.load(path(method), requests, 1, 0)
            latencies[method] += taken
            await asyncio.sleep(_PAUSE)
    return {method: quantiles(taken, n=100)[98] * 1e3 for method, taken in latencies.items()}
