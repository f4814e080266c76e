"""A worker that is the platform which an operator looks at: many keys, clients, and changes.

Clients are bare Watch streams with signs of life, as near caches ask for them, and a report every
10 seconds: what the server has of a client.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from google.protobuf.duration_pb2 import Duration
from grpc import aio
from relevo.v1.context_pb2 import ContextKey, ExecutionContext
from relevo.v1.store_pb2 import CacheReport, ClientInfo, Ping, PutRequest, Subscribe, WatchRequest
from relevo.v1.store_pb2_grpc import ContextStoreStub
from support.contexts import of_size

from benchmarks.workers import serve_commands

TENANT = "acme"
_CONNECTIONS = 20
"""The first is for Puts; the clients share the others."""
_MOST_AT_A_TIME = 64
"""Puts in flight. A machine that is too slow for the rate makes fewer, which `changed` tells."""
_AT_A_TIME = 50
_REPORT = 10.0
_SERVICES = 20


def key(number: int) -> ContextKey:
    """The key of an entry."""
    return ContextKey(scope="conversation", tenant_id=TENANT, id=f"c-{number:06}")


class Operated:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stubs: list[Any] = []
        self._put = 0
        """The Puts since `change` was called."""
        self._in_flight = 0

    async def begin(self, address: str) -> None:
        """Connect."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        for _ in range(_CONNECTIONS):
            channel = await self._stack.enter_async_context(aio.insecure_channel(address, options))
            self._stubs.append(ContextStoreStub(channel))

    async def fill(self, count: int) -> None:
        """Put so many entries."""
        context = of_size(512)
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                await self._stubs[0].Put(PutRequest(key=key(number), context=context))

        await asyncio.gather(*(some() for _ in range(_AT_A_TIME)))

    async def watch(self, count: int) -> None:
        """Open so many Watch streams, and wait until the server has answered each."""

        async def client(number: int, answered: asyncio.Event) -> None:
            call = self._stubs[1 + number % (_CONNECTIONS - 1)].Watch(_requests(number))
            async for _ in call:
                answered.set()

        waiting = [asyncio.Event() for _ in range(count)]
        for number, answered in enumerate(waiting):
            self._start(client(number, answered))
        await asyncio.gather(*(each.wait() for each in waiting))

    async def change(self, rate: int) -> None:
        """Put at this rate, from now on."""
        self._start(self._change(rate))

    async def changed(self) -> int:
        """The Puts so far."""
        return self._put

    async def _change(self, rate: int) -> None:
        begun, asked = time.perf_counter(), 0

        async def put(number: int) -> None:
            context = ExecutionContext(user_id=f"u-{number}")
            try:
                await self._stubs[0].Put(PutRequest(key=key(number % 5000), context=context))
                self._put += 1
            finally:
                self._in_flight -= 1

        while True:
            due = int((time.perf_counter() - begun) * rate)
            while asked < due:
                asked += 1
                if self._in_flight < _MOST_AT_A_TIME:
                    self._in_flight += 1
                    self._start(put(asked))
            await asyncio.sleep(0.002)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _requests(number: int) -> AsyncIterator[WatchRequest]:
    client = ClientInfo(
        service_name=f"service-{number % _SERVICES}", host_name="host", process_id=1000 + number
    )
    ping = Ping(number=1, sign_interval=Duration(seconds=1, nanos=300_000_000))
    yield WatchRequest(ping=ping, client=client, report=_report(number, 0))
    yield WatchRequest(subscribe=Subscribe(key=key(50_000 + number), number=2))
    for count in range(1, 1_000_000):
        await asyncio.sleep(_REPORT)
        ping.number = 2 + count
        yield WatchRequest(ping=ping, report=_report(number, count))


def _report(number: int, count: int) -> CacheReport:
    report = CacheReport(entries=20, bytes=40_000, hits=100 * count + number, misses=count)
    report.staleness.FromMilliseconds(200 + number)
    return report


if __name__ == "__main__":
    operated = Operated()
    asyncio.run(
        serve_commands(
            {
                "begin": operated.begin,
                "fill": operated.fill,
                "watch": operated.watch,
                "change": operated.change,
                "changed": operated.changed,
            }
        )
    )
