"""Clients of both kinds whose caches have what they are asked for."""

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
    """The clients."""
    options = options or CacheOptions()
    async with AsyncContextClient(address, timeout=10, cache=options) as client:
        with ContextClient(address, timeout=10, cache=options) as blocking:
            yield StoreClients(blocking, client)


async def until_known(
    clients: StoreClients, target: ContextKey | ContextRef, error: type[RelevoError] | None = None
) -> None:
    """Wait until both know a context, or that it is this error."""
    for client in (clients.blocking, clients.asyncio):

        async def is_known(client: ContextClient | AsyncContextClient = client) -> bool:
            try:
                return client.peek(target) is not None and error is None
            except RelevoError as known:
                return type(known) is error

        await until_async(is_known, what=f"{target} to be known")


def counts_of(clients: StoreClients, kind: Kind) -> CacheCounts:
    """What the cache of one of them has done so far."""
    return (clients.blocking if kind == "blocking" else clients.asyncio).cache_counts
