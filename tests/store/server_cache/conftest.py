"""A server with a spy on its backend, which sees what the cache does not answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.calls import (
    Stub,
)
from support.servers.serving import serving_from
from support.servers.spied_storage import Spy


@pytest.fixture
def spy(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Records the server's reads of its backend."""
    return Spy(storage, monkeypatch)


@pytest.fixture
def options() -> dict[str, Any]:
    """The test's own settings, with a staleness bound that no pause of the machine reaches."""
    return {"cache_max_staleness": 30.0, "watch_heartbeat": 0.1}


@pytest.fixture
async def stub(
    storage: Storage, settings: Settings, options: dict[str, Any], spy: Spy
) -> AsyncIterator[Stub]:
    """The stub of a server with a spy on its backend."""
    del spy  # written before the server starts
    async with serving_from(storage, settings.model_copy(update=options)) as stub:
        yield stub
