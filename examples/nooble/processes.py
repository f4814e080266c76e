"""Starts and stops the processes of the platform in one of its modes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from relevo_demo.launching import Running, launched

from nooble.wiring import Mode, Wiring

REPLICAS = 2
"""The number of processes of execution, of embedding and of query."""


@dataclass(frozen=True)
class Nooble:
    """The running platform."""

    wiring: Wiring
    orchestrator: str
    """The address for conversations: host and port."""
    processes: Sequence[Running]

    def named(self, name: str) -> list[Running]:
        """The processes of a service."""
        return [process for process in self.processes if process.name == name]


@asynccontextmanager
async def nooble(
    mode: Mode,
    *,
    redis: str = "",
    redeliver_after: float = Wiring.redeliver_after,
    turn_timeout: float = Wiring.turn_timeout,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[Nooble]:
    """Start all processes; stop the services and then their dependencies, also after an error.

    `redis` is the URL of one Redis for both the queues and the configuration; if it is empty,
    two are started. Times are in seconds. `environment` is added to the environment of all
    processes. Raises ProcessError.
    """
    async with AsyncExitStack() as below, _ended_together() as services:
        processes: list[Running] = []

        async def start(stack: AsyncExitStack, name: str, *command: str, **variables: str) -> str:
            variables = {**(environment or {}), **variables}
            running, _ = await stack.enter_async_context(launched(name, *command, **variables))
            processes.append(running)
            return running.address

        async def start_service(name: str, wiring: Wiring, count: int = 1) -> list[str]:
            command = (f"nooble.services.{name}", *wiring.arguments())
            own = [AsyncExitStack() for _ in range(count)]
            services.extend(own)
            return await asyncio.gather(*(start(each, name, *command) for each in own))

        if redis:
            queues = contexts = redis
        else:
            addresses = await asyncio.gather(
                start(below, "queues", "nooble.redis_server"),
                start(below, "contexts", "nooble.redis_server"),
            )
            queues, contexts = (f"redis://{address}" for address in addresses)
        wiring = Wiring(
            mode,
            queues=queues,
            redis=contexts,
            management="",
            redeliver_after=redeliver_after,
            turn_timeout=turn_timeout,
        )
        if mode == "relevo":
            flags = ("--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info")
            store = await start(
                below, "store", "relevo_server", "serve", *flags, RELEVO_STORE=wiring.redis
            )
            wiring = replace(wiring, store=store)
        (management,) = await start_service("agent_management", wiring)
        wiring = replace(wiring, management=f"http://{management}")
        embedding = await start_service("embedding", wiring, REPLICAS)
        wiring = replace(wiring, embedding="ipv4:" + ",".join(embedding))
        _, _, (orchestrator,) = await asyncio.gather(
            start_service("query", wiring, REPLICAS),
            start_service("execution", wiring, REPLICAS),
            start_service("orchestrator", wiring),
        )
        yield Nooble(wiring, orchestrator, processes)


@asynccontextmanager
async def _ended_together() -> AsyncGenerator[list[AsyncExitStack]]:
    """Stacks that are closed concurrently: closing is slow, and none depends on another."""
    stacks: list[AsyncExitStack] = []
    try:
        yield stacks
    finally:
        await asyncio.gather(*(stack.aclose() for stack in stacks))
