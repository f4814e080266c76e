"""The processes of the platform: `relevo serve` and the four services."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from relevo_demo.launching import Running, launched
from relevo_demo.services import CHAIN

PREFIX = "relevo-demo"
"""The prefix of the demo's keys in Redis, so that it touches no other data."""
PROCESSES = 1 + len(CHAIN)
"""The number of processes: the store, and the services."""


@dataclass(frozen=True)
class Platform:
    """The running processes of the platform."""

    store: Running
    store_url: str
    """The URL of the store's backend, without secrets."""
    services: Sequence[Running]
    """In the order of the chain."""


@asynccontextmanager
async def platform(store_url: str, on_start: Callable[[str], None]) -> AsyncGenerator[Platform]:
    """Start all processes; stop them in reverse order, also after an error.

    `on_start` is called with the name of each process that has started.
    """
    async with AsyncExitStack() as stack:
        store, started = await stack.enter_async_context(
            launched(
                "store",
                *("relevo_server", "serve", "--listen", "127.0.0.1:0"),
                *("--store-prefix", PREFIX, "--log-format", "json", "--log-level", "info"),
                RELEVO_STORE=store_url,  # may hold a password, which `ps` would show as a flag
            )
        )
        on_start(store.name)
        services: list[Running] = []
        for name in reversed(CHAIN):  # a callee starts before its caller
            addresses = [store.address, *(callee.address for callee in services[:1])]
            service, _ = await stack.enter_async_context(
                launched(name, f"relevo_demo.services.{name}", *addresses)
            )
            services.insert(0, service)
            on_start(name)
        yield Platform(store, started["store"], services)
