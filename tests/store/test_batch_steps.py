"""BatchGets leave the event loop to other calls: their work is done in short steps."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
from relevo.v1.store_pb2 import BatchGetResponse
from relevo_server.keys import Key
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.storage.interface import Write
from relevo_server.storage.memory import MemoryStorage
from relevo_server.wire.requests import Get
from support.failures import failure_in
from support.servers.spied_storage import Spy

GETS = [Get(Key("conversation", "acme", f"c{i}"), 0, 0, False, False) for i in range(100)]


@pytest.fixture
def storage() -> MemoryStorage:
    """A backend."""
    return MemoryStorage(4, log_length=1000, request_ttl_ms=600_000)


@pytest.fixture
def spy(storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """A spy on it, which counts reads."""
    return Spy(storage, monkeypatch)


@pytest.fixture
async def store(storage: MemoryStorage) -> AsyncIterator[ContextStore]:
    """A service that answers from it."""
    store = ContextStore(storage, Settings())
    yield store
    await store.close()


async def test_batches_take_turns(spy: Spy, store: ContextStore) -> None:
    """However many batches there are: a few of their Gets begin in a turn of the loop."""
    batches = [asyncio.create_task(store.BatchGet(GETS)) for _ in range(3)]
    most = 0
    while spy.reads < 300:
        before = spy.reads
        await asyncio.sleep(0)
        most = max(most, spy.reads - before)
    await asyncio.gather(*batches)
    assert most == 4


async def test_a_response_is_composed_in_steps(
    store: ContextStore, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Composing the results takes a turn of the loop for each 0.2 ms of it. Their order stays."""
    await storage.write(Write(GETS[7].key, b"", 60_000))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def turns_of(seconds: float) -> int:
        """The turns that a batch takes, if each result takes so long."""
        nonlocal turns
        clock = count()
        path = "relevo_server.service.batches.monotonic"
        monkeypatch.setattr(path, lambda: next(clock) * seconds)
        turns = 0
        response = BatchGetResponse.FromString(await store.BatchGet(GETS))
        codes = [failure_in(each.error).reason for each in response.results]
        assert codes == [*["NO_ENTRY"] * 7, "", *["NO_ENTRY"] * 92]
        return turns

    counting = asyncio.create_task(count_turns())
    at_once = await turns_of(0.0)
    assert await turns_of(100e-6) >= at_once + 30
    counting.cancel()
