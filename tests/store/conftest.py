"""Fixtures of the store's tests."""

from collections.abc import AsyncIterator

import pytest
from relevo_server.settings import Settings
from relevo_server.storage import Storage, open_storage
from support.calls import Stub
from support.serving import serving_from


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    """A backend, opened as the server opens it, for what the wire does not show."""
    storage = open_storage(
        settings.store.get_secret_value(),
        partitions=settings.partitions,
        prefix=settings.store_prefix,
    )
    yield storage
    await storage.close()


@pytest.fixture
async def storage_stub(storage: Storage, settings: Settings) -> AsyncIterator[Stub]:
    """The stub of a server that answers from `storage`."""
    async with serving_from(storage, settings) as stub:
        yield stub
