"""Recent contexts are cached by version: Redis sends each context once, and is read every time."""

import time

import pytest
from relevo.v1.store_pb2 import Consistency
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import Stub, context, get, invalidate, is_alive, key, masked, put
from support.contexts import of_size
from support.redis.client import RedisClient
from support.servers.serving import stub_of

SIZE = 100_000
GETS = 20

pytestmark = pytest.mark.parametrize("store_url", ["redis"], indirect=True)


async def fetched(settings: Settings, stub: Stub) -> float:
    """How often Redis has sent a context's size for this many Gets."""
    with RedisClient(settings.store.get_secret_value()) as redis:
        before: int = redis("INFO", "stats")["total_net_output_bytes"]
        for _ in range(GETS):
            assert (await get(stub, key())).entry.context.ByteSize() > SIZE
        after: int = redis("INFO", "stats")["total_net_output_bytes"]
    return (after - before) / SIZE


async def test_a_version_is_sent_once(settings: Settings, stub: Stub) -> None:
    """STRONG Gets of one version fetch its context once."""
    for _ in range(2):
        await put(stub, key(), of_size(SIZE))
        assert await fetched(settings, stub) < 2


@pytest.mark.parametrize("room", [0, SIZE // 2])
async def test_what_has_no_room(settings: Settings, room: int) -> None:
    """A context that does not fit into this cache is sent each time."""
    async with (
        Server(settings.model_copy(update={"recent_max_bytes": room})) as server,
        stub_of(server.address) as stub,
    ):
        await put(stub, key(), of_size(SIZE))
        assert await fetched(settings, stub) > GETS - 1


async def test_what_another_server_writes(settings: Settings, stub: Stub) -> None:
    """A STRONG Get shows every acknowledged write and end, through any server (S2)."""
    async with Server(settings) as other, stub_of(other.address) as to_other:
        for i in range(20):
            await put(to_other, key(), context(user_id=f"{i}"))
            answers = [await get(stub, key()) for _ in range(2)]
            assert [each.entry.context.user_id for each in answers] == [f"{i}"] * 2
            answer = answers[-1]
            known = await get(stub, key(), known_version=answer.entry.version)
            assert known.not_modified
            assert not known.entry.HasField("context")
            older = await get(stub, key(), known_version=answer.entry.version - 1)
            assert older.entry.context.user_id == f"{i}"
            await put(stub, key(), context(agent_id="a"), update_mask=masked("agent_id"))
            merged = (await get(to_other, key())).entry.context
            assert (merged.user_id, merged.agent_id) == (f"{i}", "a")
            cached = await get(stub, key(), consistency=Consistency.CONSISTENCY_CACHED)
            assert cached.entry.context.user_id == f"{i}"
        await invalidate(to_other, key())
        assert not await is_alive(stub, key())
        await put(to_other, key(), context(user_id="again"))
        assert (await get(stub, key())).entry.context.user_id == "again"


async def test_a_version_that_comes_again(settings: Settings, stub: Stub) -> None:
    """A write that a failover lost is never served for a later one with the same version.

    The version can come again if the new master's clock is behind the log.
    """
    tag = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}"
    log, state = f"{tag}:log", f"{tag}:state"
    with RedisClient(settings.store.get_secret_value()) as redis:
        ahead = f"{int(time.time() * 1000) + 3_600_000}-0"
        redis("XADD", log, ahead, "op", "release", "key", "conversation:acme:another")
        redis("HSET", state, "revision", ahead)
        replicated = [(name, redis("DUMP", name)) for name in (log, state)]
        lost = await put(stub, key(), context(user_id="lost"))
        assert (await get(stub, key())).entry.context.user_id == "lost"
        redis("DEL", f"{tag}:entry:conversation:acme:{key().id}")
        for name, dumped in replicated:
            redis("RESTORE", name, 0, dumped, "REPLACE")
        async with Server(settings) as other, stub_of(other.address) as to_other:
            written = await put(to_other, key(), context(user_id="written"))
        assert written.revision == lost.revision
        assert (await get(stub, key())).entry.context.user_id == "written"
