"""A worker with subscribers: near caches, bare gRPC streams, or Redis pub/sub connections.

It reports the time at which each of them had the next message. For a cache, that is when its
rules let a call use the new value, so that a peek returns it. Nothing is polled.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from grpc import aio
from redis import asyncio as redis
from relevo.v1.store_pb2 import WatchResponse
from relevo_client import AsyncContextClient, CacheOptions, ContextKey
from support.waiting import until_async

from benchmarks.broadcast import SERVICE
from benchmarks.workers import serve_commands

DIGITS = 20
"""The number of digits of the message number that a published message begins with."""
# Otherwise gRPC shares one connection between all equal channels of a process.
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


class Deliveries:
    """The times at which the subscribers had each message."""

    def __init__(self, subscribers: int) -> None:
        self._subscribers = subscribers
        self._times: dict[int, list[int]] = {}
        self._complete: asyncio.Queue[tuple[int, list[int]]] = asyncio.Queue()

    def record(self, number: int) -> None:
        """Record that one more subscriber has a message."""
        times = self._times.setdefault(number, [])
        times.append(time.monotonic_ns())  # on Linux the same clock for all processes
        if len(times) == self._subscribers:
            self._complete.put_nowait((number, self._times.pop(number)))

    async def next(self) -> tuple[int, list[int]]:
        """The number of the next message that all have, and the time of each in nanoseconds."""
        return await self._complete.get()


class Subscribers:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._deliveries = Deliveries(0)

    async def caches(self, count: int, address: str, key: str) -> None:
        """Open caches with the entry, each with a connection and a stream of its own."""
        self._deliveries = Deliveries(count)
        for _ in range(count):
            cache = _cache(address, ContextKey.parse(key), self._deliveries.record)
            await self._stack.enter_async_context(cache)

    async def pubsub(self, count: int, url: str, channel: str) -> None:
        """Open connections subscribed to a Redis channel."""
        self._deliveries = Deliveries(count)
        for _ in range(count):
            subscriber = _subscriber(url, channel, self._deliveries.record)
            await self._stack.enter_async_context(subscriber)

    async def streams(self, count: int, address: str) -> None:
        """Open streams of the broadcast server, each with a connection of its own."""
        self._deliveries = Deliveries(count)
        for _ in range(count):
            stream = _stream(address, self._deliveries.record)
            await self._stack.enter_async_context(stream)

    async def next(self) -> tuple[int, list[int]]:
        """Wait until all subscribers have the next message."""
        return await self._deliveries.next()

    async def close(self) -> None:
        """Close all subscribers."""
        await self._stack.aclose()


@asynccontextmanager
async def _cache(
    address: str, key: ContextKey, record: Callable[[int], None]
) -> AsyncGenerator[None, None]:
    async with (
        aio.insecure_channel(address, _OWN_CONNECTION) as channel,
        AsyncContextClient(channel=channel, timeout=10, cache=CacheOptions()) as client,
    ):

        async def has_it() -> bool:
            return client.peek(key) is not None

        await until_async(has_it)
        _record_versions(client, key, record)
        yield


def _record_versions(client: Any, key: ContextKey, record: Callable[[int], None]) -> None:
    """Call `record` with each version of the entry, once a call with its fence would get it."""
    cache = client._watcher._cache
    received = cache.received
    newest = recorded = 0

    def receive(message: WatchResponse, now: float) -> bool:
        nonlocal newest, recorded
        is_news: bool = received(message, now)
        newest = max(newest, message.entry.version)
        # The position that proves the version may come in a later message than its entry.
        if newest > recorded and cache.lookup(key, newest, now):
            recorded = newest
            record(newest)
        return is_news

    cache.received = receive


@asynccontextmanager
async def _subscriber(
    url: str, channel: str, record: Callable[[int], None]
) -> AsyncGenerator[None, None]:
    library: Any = redis.Redis  # whose types are only half known
    async with library.from_url(url) as client, client.pubsub() as subscription:
        await subscription.subscribe(channel)
        await anext(subscription.listen())  # the confirmation of the subscription

        async def listen() -> None:
            async for message in subscription.listen():
                record(int(message["data"][:DIGITS]))

        async with _in_background(listen()):
            yield


@asynccontextmanager
async def _stream(address: str, record: Callable[[int], None]) -> AsyncGenerator[None, None]:
    async with aio.insecure_channel(address, _OWN_CONNECTION) as channel:
        method: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
            f"/{SERVICE}/Listen"
        )
        messages = aiter(method(b""))
        await anext(messages)  # the confirmation of the start

        async def listen() -> None:
            async for message in messages:
                record(int(message[:DIGITS]))

        async with _in_background(listen()):
            yield


@asynccontextmanager
async def _in_background(listening: Coroutine[Any, Any, None]) -> AsyncGenerator[None, None]:
    """Run a listening coroutine in the background."""
    task = asyncio.create_task(listening)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def main() -> None:
    """Run as a worker."""
    commands = Subscribers()
    each = commands.caches, commands.streams, commands.pubsub, commands.next, commands.close
    await serve_commands({method.__name__: method for method in each})


if __name__ == "__main__":
    asyncio.run(main())
