"""A store in memory and a client of it: what these tests prove holds for every backend."""

from collections.abc import AsyncIterator

import pytest
from relevo_client import AsyncContextClient, ContextEntry, ContextKey, ExecutionContext
from relevo_server.server import Server


@pytest.fixture
def store_url() -> str:
    """The embedded backend."""
    return "memory://"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A client of the store, as a service has it."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client


@pytest.fixture
def key() -> ContextKey:
    """A key."""
    return ContextKey("conversation", "acme", "c-1")


@pytest.fixture
async def entry(client: AsyncContextClient, key: ContextKey) -> ContextEntry:
    """An entry of the store."""
    await client.put(key, ExecutionContext(user_id="u-1", tenant_id="acme"))
    return await client.resolve(key)
