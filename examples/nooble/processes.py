"""Starts and stops the processes of the platform in one of its modes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from relevo_demo.launching import Running, launched

from nooble.channels import target_of
from nooble.ports import ANYWHERE
from nooble.wiring import Mode, Wiring

WORKERS = 2
"""The number of processes of execution, of embedding and of query, if it is not asked for."""


@dataclass(frozen=True)
class Nooble:
    """The running platform."""

    wiring: Wiring
    orchestrators: Sequence[str]
    """The addresses for conversations: host and port each."""
    processes: Sequence[Running]

    def named(self, name: str) -> list[Running]:
        """The processes of a service."""
        return [process for process in self.processes if process.name == name]


Launch = Callable[..., AbstractAsyncContextManager[tuple[Running, Mapping[str, Any]]]]
"""Runs a Python module as a server process until a block ends, as `launched` does: a function of
its name, its command, and variables of its environment."""


@asynccontextmanager
async def nooble(
    mode: Mode,
    *,
    replicas: int | None = None,
    strips_metadata: bool = False,
    redis: str = "",
    redeliver_after: float = Wiring.redeliver_after,
    turn_timeout: float = Wiring.turn_timeout,
    environment: Mapping[str, str] | None = None,
    observer: str = "",
    launch: Launch = launched,
) -> AsyncGenerator[Nooble]:
    """Start all processes; stop the services and then their dependencies, also after an error.

    There are `replicas` processes of each service and of the store, but one of agent management,
    whose memory is its database; by default two of each worker, and one of everything else. With
    `strips_metadata`, gRPC calls between services go through `nooble.proxy`.

    `redis` is the URL of one Redis for both the queues and the configuration; if it is empty,
    two are started. Times are in seconds. `environment` is added to the environment of all
    processes. Services send their steps to the address `observer`, if there is one. `launch`
    starts the processes. Raises ProcessError.
    """
    async with AsyncExitStack() as below, _ended_together() as services:
        processes: list[Running] = []

        async def start(stack: AsyncExitStack, name: str, *command: str, **variables: str) -> str:
            variables = {**(environment or {}), **variables}
            running, _ = await stack.enter_async_context(launch(name, *command, **variables))
            processes.append(running)
            return running.address

        async def start_service(name: str, wiring: Wiring, count: int) -> list[str]:
            command = (f"nooble.services.{name}", *wiring.arguments())
            own = [AsyncExitStack() for _ in range(count)]
            services.extend(own)
            return await asyncio.gather(*(start(each, name, *command) for each in own))

        if redis:
            queues = contexts = redis
        else:
            redis_server = ("nooble.redis_server", "--listen", ANYWHERE)
            addresses = await asyncio.gather(
                *(start(below, name, *redis_server) for name in ("queues", "contexts"))
            )
            queues, contexts = (f"redis://{address}" for address in addresses)
        wiring = Wiring(
            mode,
            queues=queues,
            redis=contexts,
            management="",
            observer=observer,
            redeliver_after=redeliver_after,
            turn_timeout=turn_timeout,
        )
        if mode == "relevo":
            flags = ("--listen", ANYWHERE, "--log-format", "json", "--log-level", "info")
            serve = ("store", "relevo_server", "serve", *flags)
            stores = [start(below, *serve, RELEVO_STORE=contexts) for _ in range(replicas or 1)]
            wiring = replace(wiring, store=target_of(await asyncio.gather(*stores)))
        (management,) = await start_service("agent_management", wiring, 1)
        wiring = replace(wiring, management=f"http://{management}")
        workers = replicas or WORKERS
        embedding = target_of(await start_service("embedding", wiring, workers))
        if strips_metadata:
            command = ("proxy", "nooble.proxy", f"--target={embedding}")
            embedding = target_of([await start(below, *command)])
        wiring = replace(wiring, embedding=embedding)
        _, _, orchestrators = await asyncio.gather(
            start_service("query", wiring, workers),
            start_service("execution", wiring, workers),
            start_service("orchestrator", wiring, replicas or 1),
        )
        yield Nooble(wiring, orchestrators, processes)


@asynccontextmanager
async def _ended_together() -> AsyncGenerator[list[AsyncExitStack]]:
    """Stacks that are closed concurrently: closing is slow, and none depends on another."""
    stacks: list[AsyncExitStack] = []
    try:
        yield stacks
    finally:
        await asyncio.gather(*(stack.aclose() for stack in stacks))
