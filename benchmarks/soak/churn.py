"""A client process of the soak, which repeats everything that a service does with a store.

    python -m benchmarks.soak.churn TARGET NAME LAP

Keys come and go, caches have room for few of them, clients are opened and closed, and
calls time out. Each second it prints its resources and the counts so far.

After LAP seconds the names of keys repeat, long after their entries have expired: so the
server's bounded caches of names reach their full size early in the run.
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
"""Keys in use at a time."""
_NEW_KEYS = 100
"""New keys per second; as many fall out of use."""
_OWN = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
"""Channel options for a connection of its own, opened and closed with the channel."""
_CACHE = CacheOptions(max_entries=200)
_TASKS = 4
_PAUSE = 0.02
"""The longest pause in seconds between two calls of a task."""
_SELDOM = 2.0
"""The same for clients that are opened and closed, with their streams."""
_RARELY = 10.0
"""The same for calls that time out. gRPC leaks a block for each call that ends before its handler
has begun, and for each stream that ends while it is read (seen with grpcio 1.85.1,
https://github.com/grpc/grpc/issues/43360), and fragments the heap around it. If such calls were
frequent, the soak would measure little else."""


@dataclass
class Done:
    """The counts so far, and the current resources."""

    operations: int = 0
    clients: int = 0
    """Clients opened and closed."""
    failed: int = 0
    """Calls that timed out on a busy machine."""
    pushes: int = 0
    evictions: int = 0
    tasks: int = 0
    streams: int = 0


class Churn:
    """The work of one process."""

    def __init__(self, target: str, name: str, lap: float, client: AsyncContextClient) -> None:
        self._target = target
        self._lap = lap
        self._client = client
        self._random = random.Random(name)  # noqa: S311 - no secrets
        self._done = Done()

    async def run(self) -> None:
        """Run until the process is killed."""
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
        """Resolve an entry, and create missing entries, as a service that owns contexts does."""
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
        """Make a call that times out.

        It ends by its deadline, not by cancellation: gRPC itself leaks about a kilobyte for
        each call that asyncio cancels, also without Relevo (seen with grpcio 1.85.1).
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
