"""Servers with long leases, and one with short ones."""

from collections.abc import AsyncIterator

import pytest
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.calls import (
    Stub,
)
from support.servers.serving import serving_from


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Leases outlast each test, unless the test sets their time."""
    return settings.model_copy(update={"lease_ttl": 60.0})


@pytest.fixture
async def brief(storage: Storage, settings: Settings) -> AsyncIterator[Stub]:
    """A server with short leases, on the same store as that of `storage_stub`."""
    async with serving_from(storage, settings.model_copy(update={"lease_ttl": 0.8})) as stub:
        yield stub
