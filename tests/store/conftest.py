"""Fixtures of the store's tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from relevo_server.settings import Settings
from relevo_server.storage import Storage, open_storage
from support.clients.calls import Stub
from support.network.certificates import Pair, authority
from support.servers.serving import serving_from


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Servers run on the event loop of `relevo serve`; those of other folders on asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    """A backend, opened as the server opens it, for properties that the wire does not show."""
    storage = open_storage(
        settings.store.get_secret_value(),
        timeout=settings.store_timeout,
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def signer(folder: Path) -> Pair:
    """The authority that signed all valid certificates."""
    return authority(folder, "authority")
