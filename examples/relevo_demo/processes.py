"""The platform as processes: `relevo serve` and the four services."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from relevo_demo.launching import Running, launched
from relevo_demo.services import CHAIN

PREFIX = "relevo-demo"
"""What the demo's keys in Redis begin with: nobody else's data is touched."""


@dataclass(frozen=True)
class Platform:
    """Everything that runs."""

    store: Running
    store_url: str
    """Where the store keeps its entries, without secrets."""
    services: Sequence[Running]
    """In the order of the chain."""


@asynccontextmanager
async def platform(store_url: str) -> AsyncGenerator[Platform]:
    """Start everything; end it in the opposite order, whatever happens within."""
    async with AsyncExitStack() as stack:
        store, started = await stack.enter_async_context(
            launched(
                "store",
                *("relevo_server", "serve", "--listen", "127.0.0.1:0"),
                *("--store-prefix", PREFIX, "--log-format", "json", "--log-level", "info"),
                RELEVO_STORE=store_url,  # may hold a password, which `ps` would show as a flag
            )
        )
        services: list[Running] = []
        for name in reversed(CHAIN):  # who is called starts before its caller
            addresses = [store.address, *(callee.address for callee in services[:1])]
            service, _ = await stack.enter_async_context(
                launched(name, f"relevo_demo.services.{name}", *addresses)
            )
            services.insert(0, service)
        yield Platform(store, started["store"], services)
