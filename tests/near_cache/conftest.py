"""A server with each backend, and a client that keeps what it resolves."""

from collections.abc import AsyncIterator

import pytest
from relevo_client import AsyncContextClient, CacheOptions
from relevo_server.server import Server
from support.calls import Stub
from support.watching import Watch


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A client with a cache."""
    async with AsyncContextClient(server.address, timeout=10, cache=CacheOptions()) as client:
        yield client


@pytest.fixture
async def watch(stub: Stub) -> AsyncIterator[Watch]:
    """A Watch stream."""
    async with Watch(stub) as watch:
        yield watch
