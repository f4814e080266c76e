"""Touches of a stream: best effort, in the scopes whose times to live slide."""

from typing import Any

import pytest
from relevo_server import errors
from relevo_server.keys import Key, partition_of
from relevo_server.service.touching import Touching
from relevo_server.settings import Settings
from relevo_server.storage.memory.storage import MemoryStorage
from support.clients.calls import key
from support.clients.watching import Watch
from support.servers.serving import serving


class Failing(MemoryStorage):
    """A store whose entries of some tenants cannot be reached, and that notes what is tried."""

    def __init__(self, *unreachable: str) -> None:
        super().__init__(64, log_length=1000, request_ttl_ms=1000)
        self.unreachable = set(unreachable)
        self.touched: list[str] = []

    async def touch(self, key: Key) -> None:
        """Note the tenant. Raises UNAVAILABLE for those that cannot be reached."""
        self.touched.append(key.tenant_id)
        if key.tenant_id in self.unreachable:
            raise errors.unavailable()


async def test_a_partition_that_cannot_be_touched_rests() -> None:
    """A Touch that fails raises nothing, and its partition is left alone for 5 s; no other is.

    A silent store takes a second for each: the requests behind them would wait.
    """
    assert partition_of("acme", 64) != partition_of("globex", 64)
    now, storage = 100.0, Failing("acme")
    touching = Touching(storage, ("conversation",), lambda: now)
    for _ in range(3):
        for tenant in ("acme", "globex"):
            await touching.touch(Key("conversation", tenant, "c1"))
    assert storage.touched == ["acme", "globex", "globex", "globex"]
    now, storage.unreachable = 105.0, set()
    for _ in range(2):
        await touching.touch(Key("conversation", "acme", "c1"))
    assert storage.touched[4:] == ["acme", "acme"]


@pytest.mark.parametrize("store_url", ["memory"], indirect=True)
async def test_a_stream_outlives_its_touches(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Touch that the store cannot do now ends no stream."""

    async def unavailable(*_: Any) -> None:
        raise errors.unavailable()

    monkeypatch.setattr(MemoryStorage, "touch", unavailable)
    async with serving(settings) as stub, Watch(stub) as watch:
        await watch.answer(watch.subscribe(key()))
        watch.touch(key())
        await watch.pong(watch.ping())
