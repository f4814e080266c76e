"""A worker that offers a server more than a tenant's quota, for `shares`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack

from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import LeaseRequest, PutRequest, Subscribe, WatchRequest
from support.clients.calls import Stub, key
from support.servers.serving import stub_of

from benchmarks import samples
from benchmarks.workers import serve_commands

NOISY = "noisy"
"""The tenant."""
_WAIT = 2
"""Seconds for which a Lease waits."""


class Flooder:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._offered = self._refused = 0

    async def begin(self, address: str, limits: Mapping[str, int], times: int) -> None:
        """Offer so many times the limits until `end`."""
        self._offered = self._refused = 0
        self._stack = AsyncExitStack()
        stub = await self._stack.enter_async_context(stub_of(address))
        works = [self._put(stub, 1 / (limits["writes"] * times)), self._watch(stub, limits, times)]
        works += [self._wait(stub) for _ in range(limits["lease_waits"] * times)]
        self._tasks = [asyncio.create_task(each) for each in works]

    async def end(self) -> tuple[int, int]:
        """Stop. Returns how many calls were offered since `begin`, and how many were refused."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._stack.aclose()
        return self._offered, self._refused

    async def _put(self, stub: Stub, pause: float) -> None:
        """Send Puts at a pace that no answer slows down."""
        loop = asyncio.get_running_loop()
        put = PutRequest(key=key(tenant=NOISY), context=samples.context())
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._call(stub.Put(put, timeout=5)))
                due += pause
                await asyncio.sleep(due - loop.time())

    async def _wait(self, stub: Stub) -> None:
        """Wait for a lease that is never free for long, again and again."""
        lease = LeaseRequest(key=key("leased", tenant=NOISY), wait=Duration(seconds=_WAIT))
        while True:
            await self._call(stub.Lease(lease, timeout=2 * _WAIT))
            await asyncio.sleep(0.1)

    async def _watch(self, stub: Stub, limits: Mapping[str, int], times: int) -> None:
        """Subscribe to keys on one stream, each second anew to all of them."""

        async def requests() -> AsyncIterator[WatchRequest]:
            number = 0
            while True:
                for i in range(limits["subscriptions"] * times):
                    number += 1
                    subscribe = Subscribe(key=key(f"w{i}", tenant=NOISY), number=number)
                    yield WatchRequest(subscribe=subscribe)
                await asyncio.sleep(1)

        async for _ in stub.Watch(requests()):
            pass

    async def _call(self, call: Awaitable[object]) -> None:
        self._offered += 1
        try:
            await call
        except aio.AioRpcError as error:
            if error.code() is StatusCode.RESOURCE_EXHAUSTED:
                self._refused += 1
            elif error.code() is not StatusCode.ABORTED:  # the lease is held
                raise


async def main() -> None:
    """Run the worker."""
    flooder = Flooder()
    await serve_commands({"begin": flooder.begin, "end": flooder.end})


if __name__ == "__main__":
    asyncio.run(main())
