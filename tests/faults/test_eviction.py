"""A full Redis that evicts entries may lose entries, but never the order."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextKey,
    ContextRef,
    ExecutionContext,
    NotFoundError,
)
from support.clients.readers import KEY, Reader
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess
from support.waiting import until_async

OTHERS = [ContextKey("conversation", "acme", f"other-{i}") for i in range(100)]


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis that evicts only keys with a time to live when it is full."""
    with RedisProcess("--maxmemory-policy", "volatile-lru") as process:
        yield process


@pytest.fixture
async def reader(process: RelevoProcess, owner: AsyncContextClient) -> AsyncIterator[Reader]:
    """A client that trusts its cache for so long that a busy machine causes no verification."""
    del owner  # it has put the entry
    options = CacheOptions(max_staleness=20.0)
    async with AsyncContextClient(process.address, timeout=10, cache=options) as client:
        reader = Reader(client)
        await reader.until_it_sees("before")
        yield reader


async def evict(owner: AsyncContextClient, client: RedisClient) -> None:
    """Fill the store until the entry is evicted.

    One Put at a time: Redis counts requests that wait as memory in use, and many at once leave it
    nothing to evict.
    """
    used: int = client("INFO", "memory")["used_memory"]
    client("CONFIG", "SET", "maxmemory", used + (2 << 20))
    filler = ExecutionContext(llm_config={"prompt": "x" * 50_000})

    async def is_gone() -> bool:
        for key in OTHERS:
            await owner.put(key, filler)
        return not client("EXISTS", f"{{relevo:{partition}}}:entry:{KEY}")

    partition = (await owner.get(KEY)).partition
    await until_async(is_gone, what="the entry is evicted")


async def read(owner: AsyncContextClient, key: ContextKey) -> str | None:
    """The user of the stored entry; None if it is absent."""
    with suppress(NotFoundError):
        return (await owner.get(key)).context.user_id
    return None


async def test_an_entry_that_is_evicted(
    process: RelevoProcess, owner: AsyncContextClient, reader: Reader, client: RedisClient
) -> None:
    """The store reports an evicted entry as absent; a cache may continue with its last version.

    An eviction writes no event, so caches do not learn of it; they read the entry again when half
    of its time is over. All caches see the next Put.
    """
    old = await owner.put(KEY, ExecutionContext(user_id="old"))
    last = await owner.put(KEY, ExecutionContext(user_id="last"))
    await reader.until_it_sees("last")
    await evict(owner, client)
    assert await read(owner, KEY) is None
    assert reader.sees() == "last"
    with pytest.raises(NotFoundError):  # with a fence too, it is absent and not behind
        await owner.resolve(ContextRef(KEY, last.revision))
    again = await owner.put(KEY, ExecutionContext(user_id="again"), if_absent=True)
    assert again.revision > last.revision > old.revision
    print(f"converged {await reader.until_it_sees('again'):.2f} s after the next Put")
    assert not process.events("watch.reset")


async def test_what_is_kept_when_entries_are_evicted(
    process: RelevoProcess, owner: AsyncContextClient, client: RedisClient
) -> None:
    """Logs and floors are not evicted: ended entries remain ended, and revisions continue."""
    floor = (await owner.invalidate_tenant("acme", scope="agent_config")).revision
    partition = (await owner.get(KEY)).partition
    await evict(owner, client)
    assert client("EXISTS", f"{{relevo:{partition}}}:log", f"{{relevo:{partition}}}:state") == 2
    state = client("HGETALL", f"{{relevo:{partition}}}:state")
    assert b"floor:acme:agent_config" in state
    ref = await owner.put(KEY, ExecutionContext(user_id="new"))
    assert ref.revision > floor
    assert await read(owner, KEY) == "new"
    assert not process.events("watch.reset")
