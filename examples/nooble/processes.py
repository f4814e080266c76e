"""The platform as processes, in one of its modes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from relevo_demo.launching import Running, launched

from nooble.wiring import Mode, Wiring

REPLICAS = 2
"""Of execution, embedding and query."""


@dataclass(frozen=True)
class Nooble:
    """Everything that runs."""

    wiring: Wiring
    orchestrator: str
    """Where conversations are held: host and port."""
    processes: Sequence[Running]

    def named(self, name: str) -> list[Running]:
        """The processes of a service."""
        return [process for process in self.processes if process.name == name]


@asynccontextmanager
async def nooble(mode: Mode, *, redis: str = "", **times: float) -> AsyncGenerator[Nooble]:
    """Start everything; end it in the opposite order, whatever happens within.

    `redis` is the URL of a Redis for both the queues and the configuration; without, two
    are started. `times` are those of Wiring. Raises ProcessError.
    """
    async with AsyncExitStack() as stack:
        processes: list[Running] = []

        async def start(name: str, module: str, *arguments: str, **environment: str) -> str:
            command = (f"{module}", *arguments)
            running, _ = await stack.enter_async_context(launched(name, *command, **environment))
            processes.append(running)
            return running.address

        async def start_service(name: str, wiring: Wiring, count: int = 1) -> list[str]:
            module = f"nooble.services.{name}"
            started = (start(name, module, *wiring.arguments()) for _ in range(count))
            return await asyncio.gather(*started)

        if redis:
            queues = contexts = redis
        else:
            addresses = await asyncio.gather(
                start("queues", "nooble.redis_server"), start("contexts", "nooble.redis_server")
            )
            queues, contexts = (f"redis://{address}" for address in addresses)
        wiring = Wiring(mode, queues=queues, redis=contexts, management="", **times)
        if mode == "relevo":
            flags = ("--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info")
            store = await start(
                "store", "relevo_server", "serve", *flags, RELEVO_STORE=wiring.redis
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
