"""Clients of both kinds with caches."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from relevo_client import (
    AsyncContextClient,
    CacheCounts,
    CacheOptions,
    ContextClient,
    ContextKey,
    ContextRef,
    RelevoError,
)

from support.servers.hosting import StoreClients
from support.servers.shapes import Kind
from support.waiting import until_async


@asynccontextmanager
async def caching(
    address: str, options: CacheOptions | None = None
) -> AsyncGenerator[StoreClients, None]:
    """Open the clients."""
    options = options or CacheOptions()
    async with AsyncContextClient(address, timeout=10, cache=options) as client:
        with ContextClient(address, timeout=10, cache=options) as blocking:
            yield StoreClients(blocking, client)


async def until_known(
    clients: StoreClients, target: ContextKey | ContextRef, error: type[RelevoError] | None = None
) -> None:
    """Wait until both clients have cached a context, or this error for it."""
    for client in (clients.blocking, clients.asyncio):

        async def is_known(client: ContextClient | AsyncContextClient = client) -> bool:
            try:
                return client.peek(target) is not None and error is None
            except RelevoError as known:
                return type(known) is error

        await until_async(is_known, what=f"{target} to be known")


def counts_of(clients: StoreClients, kind: Kind) -> CacheCounts:
    """The counts of one client's cache so far."""
    return (clients.blocking if kind == "blocking" else clients.asyncio).cache_counts
