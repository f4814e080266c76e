"""The workers of benchmarks that have a near cache see what it may serve, and its resets."""

import asyncio
import tracemalloc
from collections.abc import Iterator

import pytest
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.waiting import PATIENCE

from benchmarks.holder import Holder
from benchmarks.refiller import Refiller
from benchmarks.subscriber import Subscribers

KEY = ContextKey("conversation", "acme", "c-1")
CACHES = 3


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store with the entry."""
    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext(user_id="old"))
        yield store


async def test_each_change_is_recorded_once_by_each_cache(store: LocalStore) -> None:
    """A change is complete once every cache may serve it, and it is named by its version."""
    subscribers = Subscribers()
    await subscribers.caches(CACHES, store.address, KEY.text)
    try:
        for name in ("new", "newer"):
            version = store.client.put(KEY, ExecutionContext(user_id=name)).revision
            number, times = await asyncio.wait_for(subscribers.next(), PATIENCE)
            assert (number, len(times)) == (version, CACHES)
    finally:
        await subscribers.close()


async def test_a_refill_is_complete_and_has_no_reset(store: LocalStore) -> None:
    """A cache learns the value of each entry, and the resets of its stream are counted."""
    refiller = Refiller()
    await refiller.open(store.address, [KEY.text])
    try:
        await refiller.use()
        store.client.put(KEY, ExecutionContext(user_id="new"))
        _, resets = await refiller.learn("new")
        assert resets == 0
    finally:
        await refiller.close()


@pytest.mark.parametrize("resolved", [False, True])
async def test_held_contexts_have_a_size(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, *, resolved: bool
) -> None:
    """A context takes memory, whether a call has used it or not."""
    monkeypatch.setattr("benchmarks.holder._WARMING", 5)
    names = [f"conversation:acme:h-{i}" for i in range(30)]
    for name in names:
        store.client.put(ContextKey.parse(name), ExecutionContext(user_id=name))
    holder = Holder()
    await holder.trace()
    try:
        assert await holder.hold(store.address, names, resolved) > 100
    finally:
        tracemalloc.stop()
