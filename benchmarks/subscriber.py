"""A worker with subscribers in it: near caches, bare gRPC streams, or Redis pub/sub connections.

It says when each of them had the next message. For a cache that is when its own rules
let a call use the new value: whoever peeks from then on gets it. Nothing is polled.
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
from benchmarks.workers import answer

DIGITS = 20
"""What a published message begins with: its number, so many digits long."""
# Else gRPC has one connection for all channels of a process that look alike.
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


class Deliveries:
    """When the subscribers had each message."""

    def __init__(self, subscribers: int) -> None:
        self._subscribers = subscribers
        self._times: dict[int, list[int]] = {}
        self._complete: asyncio.Queue[tuple[int, list[int]]] = asyncio.Queue()

    def heard(self, number: int) -> None:
        """One more has it now."""
        times = self._times.setdefault(number, [])
        times.append(time.monotonic_ns())  # on Linux the same clock for all processes
        if len(times) == self._subscribers:
            self._complete.put_nowait((number, self._times.pop(number)))

    async def next(self) -> tuple[int, list[int]]:
        """The number of the next message that all have, and when each had it."""
        return await self._complete.get()


class Subscribers:
    """What the worker can do."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._deliveries = Deliveries(0)

    async def caches(self, count: int, address: str, key: str) -> None:
        """Open caches that have the entry, each with a connection and a stream of its own."""
        self._deliveries = Deliveries(count)
        for _ in range(count):
            cache = _cache(address, ContextKey.parse(key), self._deliveries.heard)
            await self._stack.enter_async_context(cache)

    async def pubsub(self, count: int, url: str, channel: str) -> None:
        """Open connections that are subscribed to a channel of Redis."""
        self._deliveries = Deliveries(count)
        for _ in range(count):
            subscriber = _subscriber(url, channel, self._deliveries.heard)
            await self._stack.enter_async_context(subscriber)

    async def streams(self, count: int, address: str) -> None:
        """Open streams of a server that broadcasts, each with a connection of its own."""
        self._deliveries = Deliveries(count)
        for _ in range(count):
            stream = _stream(address, self._deliveries.heard)
            await self._stack.enter_async_context(stream)

    async def next(self) -> tuple[int, list[int]]:
        """Wait for a message until all have it."""
        return await self._deliveries.next()

    async def close(self) -> None:
        """Close what is open."""
        await self._stack.aclose()


@asynccontextmanager
async def _cache(
    address: str, key: ContextKey, heard: Callable[[int], None]
) -> AsyncGenerator[None, None]:
    async with (
        aio.insecure_channel(address, _OWN_CONNECTION) as channel,
        AsyncContextClient(channel=channel, timeout=10, cache=CacheOptions()) as client,
    ):

        async def has_it() -> bool:
            return client.peek(key) is not None

        await until_async(has_it)
        _tell_news(client, key, heard)
        yield


def _tell_news(client: Any, key: ContextKey, heard: Callable[[int], None]) -> None:
    """Call `heard` with each version of the entry, once a call with its fence would get it."""
    cache = client._watcher._cache
    received = cache.received

    def receive(message: WatchResponse) -> None:
        received(message)
        version = message.entry.version
        if version and cache.lookup(key, version, time.monotonic()):
            heard(version)

    cache.received = receive


@asynccontextmanager
async def _subscriber(
    url: str, channel: str, heard: Callable[[int], None]
) -> AsyncGenerator[None, None]:
    library: Any = redis.Redis  # whose types are only half known
    async with library.from_url(url) as client, client.pubsub() as subscription:
        await subscription.subscribe(channel)
        await anext(subscription.listen())  # that it is subscribed

        async def listen() -> None:
            async for message in subscription.listen():
                heard(int(message["data"][:DIGITS]))

        async with _in_background(listen()):
            yield


@asynccontextmanager
async def _stream(address: str, heard: Callable[[int], None]) -> AsyncGenerator[None, None]:
    async with aio.insecure_channel(address, _OWN_CONNECTION) as channel:
        method: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
            f"/{SERVICE}/Listen"
        )
        messages = aiter(method(b""))
        await anext(messages)  # that it listens

        async def listen() -> None:
            async for message in messages:
                heard(int(message[:DIGITS]))

        async with _in_background(listen()):
            yield


@asynccontextmanager
async def _in_background(listening: Coroutine[Any, Any, None]) -> AsyncGenerator[None, None]:
    """Listen while what is within goes on."""
    task = asyncio.create_task(listening)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def main() -> None:
    """Be a worker."""
    able = Subscribers()
    each = able.caches, able.streams, able.pubsub, able.next, able.close
    await answer({method.__name__: method for method in each})


if __name__ == "__main__":
    asyncio.run(main())
