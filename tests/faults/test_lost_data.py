"""Redis loses its data under a running server: the order of revisions continues."""

import pytest
from relevo_server import revisions
from support.clients.calls import Stub, context, get, is_alive, key, put
from support.contexts import of_size
from support.failures import failure_of
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.waiting import until_async


async def recorded(client: RedisClient) -> None:
    """Wait until the layout is recorded again."""
    await until_async(lambda: client("HGETALL", "relevo:layout"))
    assert client("HGETALL", "relevo:layout") == {b"partitions": b"64", b"version": b"1"}


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
async def test_flushed(stub: Stub, client: RedisClient, command: str) -> None:
    """After FLUSHALL, entries are gone, versions continue, and the layout is recorded again."""
    before = [(await put(stub, key(), request_id="r")).revision for _ in range(3)]
    client(command)
    assert not await is_alive(stub, key())
    after = await put(stub, key(), context(user_id="u"), if_absent=True, request_id="r")
    assert after.revision > max(before)
    failure = await failure_of(put(stub, key(), if_version=before[0]))
    assert failure.metadata["current_version"] == str(after.revision)
    await recorded(client)
    assert (await get(stub, key())).entry.version == after.revision


async def test_restarted_empty(stub: Stub, redis: RedisProcess, client: RedisClient) -> None:
    """The same after a restart of Redis without its data, on the same port."""
    before = (await put(stub, key())).revision
    redis.stop()
    redis.start()
    await recorded(client)
    assert not await is_alive(stub, key())
    assert (await put(stub, key())).revision > before


async def test_scripts_are_loaded_again(stub: Stub, client: RedisClient) -> None:
    """If Redis has lost its scripts, they are loaded again within the call."""
    before = (await put(stub, key())).revision
    client("SCRIPT", "FLUSH")
    assert (await put(stub, key())).revision > before
    assert (await get(stub, key())).entry.version > before


async def test_evicted(stub: Stub, client: RedisClient) -> None:
    """A full Redis with a `volatile-*` policy evicts entries, and never the order (S3)."""
    before = [(await put(stub, key(f"c{i}"), of_size(50_000))).revision for i in range(100)]
    client("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    client("CONFIG", "SET", "maxmemory", client("INFO", "memory")["used_memory"] - 2_000_000)
    after = [(await put(stub, key(f"d{i}"), of_size(50_000))).revision for i in range(20)]
    alive = [await is_alive(stub, key(f"c{i}")) for i in range(100)]
    assert True in alive
    assert False in alive
    (log,) = (name for name in client.names("relevo") if name.endswith(":log"))
    logged = [revisions.from_log_id(log_id) for log_id, _ in client("XRANGE", log, "-", "+")]
    assert logged == before + after
    gone = alive.index(False)
    again = await put(stub, key(f"c{gone}"), if_absent=True)
    assert again.revision > after[-1]
    assert client("HLEN", "relevo:layout") == 2


async def test_the_log_alone_is_lost(stub: Stub, client: RedisClient) -> None:
    """If only a log was deleted, versions of its partition still grow."""
    before = (await put(stub, key())).revision
    client("DEL", *(name for name in client.names("relevo") if name.endswith(":log")))
    assert (await put(stub, key())).revision > before
