"""Clients of a real server, on both backends."""

from collections.abc import AsyncIterator

import pytest
from relevo_client import AsyncContextClient, ContextKey
from relevo_server.server import Server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A client of the server."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client


@pytest.fixture
def key() -> ContextKey:
    """A key."""
    return ContextKey("conversation", "acme", "c-1")
