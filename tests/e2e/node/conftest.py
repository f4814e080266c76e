"""Functions of the services in Node.js, and a store for those that write."""

from collections.abc import AsyncIterator, Iterator

import pytest
from e2e.node.running import Functions
from relevo_client import AsyncContextClient
from relevo_server.server import Server
from support.languages.node import MISSING


@pytest.fixture(scope="session")
def functions() -> Iterator[Functions]:
    """The functions of the services, one by one."""
    if MISSING:
        pytest.skip(MISSING)
    with Functions() as functions:
        yield functions


@pytest.fixture
def store_url() -> str:
    """The embedded backend, as these tests prove properties of every backend."""
    return "memory://"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A client of the store."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client
