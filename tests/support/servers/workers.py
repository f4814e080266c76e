"""Servers of several worker processes, and connections that reach each of them."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import count
from typing import Any, Self

import psutil
from grpc import aio
from relevo.admin.v1 import admin_pb2_grpc
from relevo.admin.v1.admin_pb2 import GetStatusRequest
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext
from relevo_client._store.channel import CHANNEL_OPTIONS

from support.clients.access import bearer
from support.clients.calls import TIMEOUT
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until, until_async

_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
"""gRPC shares connections between equal channels."""


@contextmanager
def workers_serve(
    *flags: str,
    workers: int = 2,
    environment: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> Generator[RelevoProcess]:
    """Run a server of several workers, as `relevo_serve` does, and wait until all of them serve."""
    flags = ("--workers", str(workers), *flags)
    with relevo_serve(*flags, environment=environment, fresh=fresh) as server:
        until(
            lambda: server.events("workers.started") or server.process.poll() is not None,
            within=60,
            what="all workers",
        )
        assert server.process.poll() is None, "".join(server.lines)
        yield server


def pids_of(server: RelevoProcess) -> set[int]:
    """The worker processes that run."""
    return {pid for pid, status in _children(server) if status != psutil.STATUS_ZOMBIE}


def zombies_of(server: RelevoProcess) -> set[int]:
    """The worker processes that have ended, and that the supervisor has not reaped."""
    return {pid for pid, status in _children(server) if status == psutil.STATUS_ZOMBIE}


def _children(server: RelevoProcess) -> Iterator[tuple[int, str]]:
    """The supervisor's processes that are still there, with their states."""
    for each in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            yield each.pid, each.status()


@asynccontextmanager
async def connected_to_all(
    server: RelevoProcess, workers: int = 2, *, token: str = ""
) -> AsyncGenerator[Mapping[int, aio.Channel]]:
    """A channel to each worker, by its number. The system spreads connections at random.

    `token` is an operator's, if the server has principals.
    """
    metadata = bearer(token) if token else ()
    async with AsyncExitStack() as stack:
        found: dict[int, aio.Channel] = {}
        for _ in range(1000):
            channel = await stack.enter_async_context(
                aio.insecure_channel(server.address, [_OWN_CONNECTION])
            )
            stub: Any = admin_pb2_grpc.AdminStub(channel)
            status = await stub.GetStatus(
                GetStatusRequest(), timeout=TIMEOUT, wait_for_ready=True, metadata=metadata
            )
            assert status.server.workers == workers
            found.setdefault(status.server.worker, channel)
            if len(found) == workers:
                yield found
                return
    raise AssertionError(f"only {sorted(found)} of {workers} workers are reached")


class SteadyLoad:
    """Clients that put and read without a pause, each on a connection of its own.

    Use with `async with`. What a client's own retries do not save ends the load with its error.
    """

    def __init__(self, server: RelevoProcess, clients: int = 8) -> None:
        self.puts = 0
        """Puts that were acknowledged."""
        self._address = server.address
        self._clients = clients
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start, and wait until each client has done something."""
        for i in range(self._clients):
            channel = aio.insecure_channel(self._address, [*CHANNEL_OPTIONS, _OWN_CONNECTION])
            await self._stack.enter_async_context(channel)
            client = AsyncContextClient(channel=channel, timeout=TIMEOUT)
            await self._stack.enter_async_context(client)
            self._tasks.append(asyncio.create_task(self._work(client, f"c{i}")))
        await self.goes_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def goes_on(self) -> None:
        """Wait for some further calls of all clients, none of which may have failed."""
        target = self.puts + 20 * self._clients

        def is_reached() -> bool:
            for task in self._tasks:
                assert not task.done(), task.exception()
            return self.puts >= target

        await until_async(is_reached, within=60, what="calls")

    async def _work(self, client: AsyncContextClient, name: str) -> None:
        key = ContextKey("conversation", "acme", name)
        for i in count():
            ref = await client.put(key, ExecutionContext(user_id=str(i)))
            found = await client.get(key)
            assert (found.version, found.context.user_id) == (ref.revision, str(i))
            self.puts += 1
