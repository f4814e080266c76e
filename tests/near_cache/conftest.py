"""A server with each backend, and clients of both kinds with a near cache."""

from collections.abc import AsyncIterator

import pytest
from relevo_client import CacheOptions
from relevo_server.server import Server
from support.clients.calls import Stub
from support.clients.either import KINDS, Either, opened
from support.clients.watching import Watch
from support.servers.shapes import Kind


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of client."""
    kind: Kind = request.param
    return kind


@pytest.fixture
async def client(server: Server, kind: Kind) -> AsyncIterator[Either]:
    """A client with a cache."""
    async with opened(kind, server.address, timeout=10, cache=CacheOptions()) as client:
        yield client


@pytest.fixture
async def watch(stub: Stub) -> AsyncIterator[Watch]:
    """A Watch stream."""
    async with Watch(stub) as watch:
        yield watch
