"""A client process of the soak: whatever a service does with a store, again and again.

    python -m benchmarks.soak.churn TARGET NAME LAP

Keys come and go, caches have room for few of them, clients are opened and closed,
callers give up. Each second it prints what there is and what was done so far.

After LAP seconds the names of keys begin anew, though their entries are long gone: so
what the server remembers of names, which is bounded, has its size early in the run.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from grpc import aio
from relevo_client import (
    CHANNEL_OPTIONS,
    AsyncContextClient,
    CacheOptions,
    ContextClient,
    ContextKey,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
    UnavailableError,
)

TTL = 10.0
TENANTS = ("acme", "globex", "initech")
AGENTS = 5
_KEYS = 500
"""In use at a time."""
_NEW_KEYS = 100
"""Per second; as many are not used any more."""
_OWN = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own, opened and closed with the channel."""
_CACHE = CacheOptions(max_entries=200)
_TASKS = 4
_PAUSE = 0.02
"""Seconds between two calls of a task, at most."""
_SELDOM = 2.0
"""The same for clients that are opened and closed, with their streams."""
_RARELY = 10.0
"""The same for calls that are given up. Of each that ends before its handler has begun, and of each
stream that ends while it is read, gRPC keeps a block for good (seen with grpcio 1.85.1,
https://github.com/grpc/grpc/issues/43360), and more of the heap around it: often, that would be
all that the soak measures."""


@dataclass
class Done:
    """What was done so far, and what there is now."""

    operations: int = 0
    clients: int = 0
    """Opened and closed."""
    failed: int = 0
    """Calls that a busy machine did not answer in time."""
    pushes: int = 0
    evictions: int = 0
    tasks: int = 0
    streams: int = 0


class Churn:
    """What one process does."""

    def __init__(self, target: str, name: str, lap: float, client: AsyncContextClient) -> None:
        self._target = target
        self._lap = lap
        self._client = client
        self._random = random.Random(name)  # noqa: S311 - no secrets
        self._done = Done()

    async def run(self) -> None:
        """Go on until the process is ended."""
        steps: list[tuple[Callable[[], Awaitable[None]], float]] = [
            *[(self._use, _PAUSE)] * _TASKS,
            (self._write, _PAUSE),
            (self._open_and_close, _SELDOM),
            (self._open_and_close_blocking, _SELDOM),
            (self._give_up, _RARELY),
        ]
        async with asyncio.TaskGroup() as group:
            for step, pause in steps:
                group.create_task(self._again(step, pause))
            group.create_task(self._report())

    async def _again(self, step: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            try:
                await step()
            except UnavailableError:
                self._done.failed += 1
            self._done.operations += 1
            await asyncio.sleep(self._random.uniform(0, pause))

    async def _use(self) -> None:
        await self._resolve(self._client, self._key())

    async def _resolve(self, client: AsyncContextClient, key: ContextKey) -> None:
        """As a service that owns contexts does: what is missing is made."""
        try:
            await client.resolve(key)
        except NotFoundError:
            await client.put(key, self._conversation(key.tenant_id), ttl=TTL)
        except IncompleteContextError as error:
            for missing in map(ContextKey.parse, error.missing):
                await client.put(missing, _agent(0), ttl=TTL)

    async def _write(self) -> None:
        match self._random.randrange(50):
            case 0:
                await self._client.invalidate_tenant(self._random.choice(TENANTS))
            case 1:
                await self._client.invalidate(self._key())
            case number:
                agent = self._agent_key(self._random.choice(TENANTS))
                await self._client.put(agent, _agent(number), ttl=TTL)

    async def _give_up(self) -> None:
        """A caller that does not wait for its answer.

        By its deadline, not by cancelling: of each call that asyncio cancels, gRPC itself
        keeps about a kilobyte, without Relevo too (seen with grpcio 1.85.1).
        """
        with suppress(UnavailableError, NotFoundError, IncompleteContextError):
            await self._client.resolve(self._key(), timeout=0.001)

    async def _open_and_close(self) -> None:
        async with (
            aio.insecure_channel(self._target, _OWN) as channel,
            AsyncContextClient(channel=channel, cache=_CACHE) as client,
        ):
            for _ in range(10):
                await self._resolve(client, self._key())
                await asyncio.sleep(_PAUSE)
        self._done.clients += 1

    async def _open_and_close_blocking(self) -> None:
        await asyncio.to_thread(self._use_blocking)
        self._done.clients += 1

    def _use_blocking(self) -> None:
        with ContextClient(self._target) as client:
            for _ in range(10):
                with suppress(NotFoundError):
                    client.get(self._key())
                time.sleep(_PAUSE)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            tasks = asyncio.all_tasks()
            counts = self._client.cache_counts
            self._done.tasks = len(tasks)
            self._done.streams = sum(task.get_name() == "relevo-watch" for task in tasks)
            self._done.pushes, self._done.evictions = counts.pushes, counts.evictions
            print(json.dumps(asdict(self._done)), flush=True)

    def _key(self) -> ContextKey:
        number = int(time.monotonic() % self._lap * _NEW_KEYS) + self._random.randrange(_KEYS)
        tenant = TENANTS[number % len(TENANTS)]
        return ContextKey("conversation", tenant, f"c{number}")

    def _agent_key(self, tenant: str) -> ContextKey:
        return ContextKey("agent_config", tenant, f"a{self._random.randrange(AGENTS)}")

    def _conversation(self, tenant: str) -> ExecutionContext:
        include = self._agent_key(tenant)
        return ExecutionContext(
            tenant_id=tenant, user_id="u1", agent_id=include.id, includes=(include,)
        )


def _agent(number: int) -> ExecutionContext:
    return ExecutionContext(llm_config={"model": f"m{number}", "prompt": "x" * 2000})


async def _run(target: str, name: str, lap: float) -> None:
    async with AsyncContextClient(target, timeout=10, cache=_CACHE) as client:
        await Churn(target, name, lap, client).run()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], float(sys.argv[3])))
