"""A worker that uses contexts as a service does, with or without OpenTelemetry's SDK.

Its commands prepare a near cache and peek at it, and open a channel and make calls on it.
"""

import asyncio
import time
from collections.abc import Awaitable
from itertools import cycle
from typing import Any

import psutil
from grpc import aio
from opentelemetry.instrumentation import grpc as otel_grpc
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextKey,
    aio_context_channel,
    use_context,
)
from support.entries import entry_of
from support.waiting import until_async

from benchmarks import samples, sdk
from benchmarks.rounds import Drive, closed_loop
from benchmarks.service import METHOD
from benchmarks.workers import serve_commands

PEEKS = 5000
_otel: Any = otel_grpc  # whose types are only half known
_ENTRY = entry_of("someone", revision=1_750_000_000_000 << 20)


class Metered:
    """The worker's commands."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._drive: Drive

    async def use_sdk(self) -> None:
        """Set the SDK's providers."""
        sdk.use_sdk()

    async def fill(self, address: str) -> None:
        """Open a client, and have every context of the benchmarks in its near cache."""
        self._client = client = AsyncContextClient(address, timeout=10, cache=CacheOptions())
        keys = [ContextKey.from_message(message) for message in samples.entry_keys()]

        async def are_there() -> bool:
            # Peek at all of them, so that all are subscribed to.
            return None not in [client.peek(key) for key in keys]

        await until_async(are_there)
        self._refs = cycle([(await client.resolve(key)).ref for key in keys])

    async def peek(self) -> float:
        """Peek at contexts. Returns the CPU seconds per call, of all threads."""
        client, refs = self._client, self._refs
        begin = time.process_time()
        for _ in range(PEEKS):
            if client.peek(next(refs)) is None:
                raise RuntimeError("the cache lost a context")
        return (time.process_time() - begin) / PEEKS

    async def open(self, address: str, relevo: bool, otel: bool) -> None:
        """Open a channel to a service, with Relevo's and OpenTelemetry's parts, or without."""
        interceptors: Any = _otel.aio_client_interceptors() if otel else []
        channel = aio.insecure_channel(address, interceptors=interceptors)
        opened: Any = aio_context_channel(channel) if relevo else channel
        call = opened.unary_unary(METHOD)

        def start() -> Awaitable[bytes]:
            answer: Awaitable[bytes] = call(b"question")
            return answer

        self._drive = closed_loop(start)

    async def drive(self, in_flight: int, seconds: float) -> tuple[list[float], float, float]:
        """Make calls. Returns each call's latency, the time, and the CPU time, in seconds."""
        before = self._process.cpu_times()
        with use_context(_ENTRY):
            latencies, elapsed = await self._drive(in_flight, seconds)
        after = self._process.cpu_times()
        return latencies, elapsed, after.user + after.system - before.user - before.system

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


async def main() -> None:
    """Serve commands until standard input ends."""
    worker = Metered()
    names = ("use_sdk", "fill", "peek", "open", "drive", "close")
    await serve_commands({name: getattr(worker, name) for name in names})


if __name__ == "__main__":
    asyncio.run(main())
