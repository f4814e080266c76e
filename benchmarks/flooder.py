"""A worker that offers a server more than a tenant's quota, for `shares`.

It yields the CPU to those whose calls are timed, but does not wait until nobody needs it: then it
would send its calls in bursts, and not at a rate.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack

from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import LeaseRequest, PutRequest, Subscribe, WatchRequest
from support.clients.calls import Stub, key
from support.failures import failure_of_error
from support.servers.serving import stub_of

from benchmarks import samples
from benchmarks.workers import serve_commands

NOISY = "noisy"
"""The tenant."""
_WAIT = 2
"""Seconds for which a Lease waits."""
_REPEATING = 20
"""Puts in flight of a tenant that repeats them."""


class Flooder:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._offered = self._refused = 0

    async def begin(self, address: str, limits: Mapping[str, int], times: int) -> None:
        """Offer so many times the limits until `end`: the rate of Puts, and each number at once."""
        stub = await self._open(address)
        self._run(
            self._put_at_pace(stub, 1 / (limits["writes"] * times)),
            self._watch(stub, limits["subscriptions"] * times, None),
            *(self._wait(stub) for _ in range(limits["lease_waits"] * times)),
        )

    async def repeat(self, address: str, limits: Mapping[str, int], times: int) -> None:
        """Repeat each refused call at once until `end`, whatever the server says."""
        stub = await self._open(address)
        self._run(
            *(self._put(stub) for _ in range(_REPEATING)),
            self._watch(stub, limits["subscriptions"] * times, 0.0),
            *(self._wait(stub, heeds=False) for _ in range(limits["lease_waits"] * times)),
        )

    async def end(self) -> tuple[int, int]:
        """Stop. Returns how many calls were offered since the start, and how many were refused."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._stack.aclose()
        return self._offered, self._refused

    async def _open(self, address: str) -> Stub:
        self._offered = self._refused = 0
        self._stack = AsyncExitStack()
        return await self._stack.enter_async_context(stub_of(address))

    def _run(self, *works: Awaitable[None]) -> None:
        self._tasks = [asyncio.ensure_future(each) for each in works]

    async def _put_at_pace(self, stub: Stub, pause: float) -> None:
        """Send Puts at a pace that no answer slows down."""
        loop = asyncio.get_running_loop()
        put = PutRequest(key=key(tenant=NOISY), context=samples.context())
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._call(stub.Put(put, timeout=5)))
                due += pause
                await asyncio.sleep(due - loop.time())

    async def _put(self, stub: Stub) -> None:
        """Send a Put as soon as the one before it has ended."""
        put = PutRequest(key=key(tenant=NOISY), context=samples.context())
        while True:
            await self._call(stub.Put(put, timeout=5))

    async def _wait(self, stub: Stub, *, heeds: bool = True) -> None:
        """Wait for a lease that is never free for long, again and again.

        A refused call is repeated after what RetryInfo says if the caller heeds that, else at once.
        """
        lease = LeaseRequest(key=key("leased", tenant=NOISY), wait=Duration(seconds=_WAIT))
        while True:
            retry_after = await self._call(stub.Lease(lease, timeout=2 * _WAIT))
            await asyncio.sleep(retry_after if heeds else 0)

    async def _watch(self, stub: Stub, count: int, pause: float | None) -> None:
        """Subscribe to so many keys on one stream; with a pause, to all of them anew after it."""

        async def requests() -> AsyncIterator[WatchRequest]:
            number = 0
            while not number or pause is not None:
                for i in range(count):
                    number += 1
                    subscribe = Subscribe(key=key(f"w{i}", tenant=NOISY), number=number)
                    yield WatchRequest(subscribe=subscribe)
                await asyncio.sleep(pause or 0)
            await asyncio.Event().wait()

        async for _ in stub.Watch(requests()):
            pass

    async def _call(self, call: Awaitable[object]) -> float:
        """Make a call. Returns after how many seconds it should be repeated if it is refused."""
        self._offered += 1
        try:
            await call
        except aio.AioRpcError as error:
            if error.code() is StatusCode.RESOURCE_EXHAUSTED:
                self._refused += 1
            elif error.code() is not StatusCode.ABORTED:  # the lease is held
                raise
            return failure_of_error(error).retry_after or 0.0
        return 0.0


async def main() -> None:
    """Run the worker."""
    os.nice(10)
    flooder = Flooder()
    await serve_commands({"begin": flooder.begin, "repeat": flooder.repeat, "end": flooder.end})


if __name__ == "__main__":
    asyncio.run(main())
