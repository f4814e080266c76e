"""Clients of a real server, on both backends, and stores for tests that need only one backend."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from relevo_client import AsyncContextClient, ContextKey
from relevo_client.testing import LocalStore
from relevo_server.server import Server
from support.servers.services import service


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A client of the server."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client


@pytest.fixture
def key() -> ContextKey:
    """A key."""
    return ContextKey("conversation", "acme", "c-1")


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


@pytest.fixture
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A store that never answers: its address, and an event that is set when a call has arrived."""
    arrived = asyncio.Event()

    async def get(_: bytes, __: Any) -> bytes:
        arrived.set()
        await asyncio.Event().wait()
        return b""

    async with service({"Get": get, "Lease": get}, name="relevo.v1.ContextStore") as address:
        yield address, arrived
