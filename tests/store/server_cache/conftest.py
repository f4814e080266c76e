"""A server whose backend is spied upon: what memory answers, the backend is not asked for."""

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
    """What the server asks of its backend."""
    return Spy(storage, monkeypatch)


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings of the test's own: a bound that no pause of the machine reaches."""
    return {"cache_max_staleness": 30.0, "watch_heartbeat": 0.1}


@pytest.fixture
async def stub(
    storage: Storage, settings: Settings, options: dict[str, Any], spy: Spy
) -> AsyncIterator[Stub]:
    """The stub of a server whose backend is spied upon."""
    del spy  # it is there before the server
    async with serving_from(storage, settings.model_copy(update=options)) as stub:
        yield stub
