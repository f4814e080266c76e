"""Refusals of Redis are typed errors: never a conflict, never "not found" (case 27)."""

import socket
from pathlib import Path

import pytest
from grpc import StatusCode, aio
from redis.exceptions import ResponseError
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from relevo_server.storage.interface import Stored, Write
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
)
from support.contexts import of_size
from support.failures import Failure, failure_of
from support.network.ports import NOBODY
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.serving import health_of, serving
from support.waiting import until, until_async


def unavailable(failure: Failure) -> bool:
    """Whether a failure is UNAVAILABLE with a retry delay."""
    return (
        failure.code is StatusCode.UNAVAILABLE
        and failure.reason == "STORE_UNAVAILABLE"
        and failure.retry_after is not None
    )


async def recovered(stub: Stub) -> None:
    """Wait until a Put succeeds. Until then it must be UNAVAILABLE."""

    async def written() -> bool:
        try:
            await put(stub, key("after"))
        except aio.AioRpcError as error:
            assert error.code() is StatusCode.UNAVAILABLE  # noqa: PT017
            return False
        return True

    await until_async(written)


async def test_a_replica_takes_no_writes(stub: Stub, client: RedisClient, server: Server) -> None:
    """If the master became a replica, writes are UNAVAILABLE, and health is NOT_SERVING."""
    await put(stub, key(), context(user_id="u"))
    client("REPLICAOF", "127.0.0.1", NOBODY)
    for call in (
        put(stub, key()),
        put(stub, key(), update_mask=masked("user_id")),
        invalidate(stub, key()),
        invalidate_tenant(stub, "acme"),
    ):
        assert unavailable(await failure_of(call))

    async def not_serving() -> bool:
        return await health_of(server.address) == "NOT_SERVING"

    await until_async(not_serving)
    client("REPLICAOF", "NO", "ONE")
    await put(stub, key(), context(user_id="v"))


async def test_a_replica_answers_no_strong_reads(stub: Stub, client: RedisClient) -> None:
    """A STRONG read on a replica is UNAVAILABLE, as a replica may lag (S2)."""
    await put(stub, key(), context(user_id="u"))
    with RedisProcess() as primary:
        client("REPLICAOF", "127.0.0.1", primary.port)
        assert unavailable(await failure_of(get(stub, key())))


async def test_loading() -> None:
    """While Redis loads its data, the store is UNAVAILABLE: unloaded entries are not absent."""
    # While it loads, Redis answers only after every 2 MiB, and is made slow at each key.
    slow = ("--key-load-delay", "150000", "--rdbcompression", "no")
    with RedisProcess(*slow) as redis, redis.client() as client:
        storage = open_storage(redis.url, partitions=1, timeout=5)
        named = [Key("conversation", "acme", f"c{i}") for i in range(6)]
        for each in named:
            await storage.write(Write(each, b"x" * (2 << 20), 3_600_000))
        client("SAVE")
        redis.stop()
        redis.start(ready=False)
        failures: list[StoreError] = []
        found: list[Stored | None] = []

        async def loaded() -> bool:
            try:
                found.extend((await storage.read(named)).entries)
            except StoreError as error:
                failures.append(error)
            return bool(found)

        await until_async(loaded)
        await storage.close()
    assert all(found)
    assert failures
    assert {failure.code for failure in failures} == {StatusCode.UNAVAILABLE}
    assert all(failure.retry_after for failure in failures)


async def test_no_memory(stub: Stub, server: Server, client: RedisClient) -> None:
    """A full Redis refuses writes, which leave nothing behind. Reads and health continue."""
    first = await put(stub, key(), context(user_id="u"))
    before = contents(client)
    client("CONFIG", "SET", "maxmemory", "1mb")
    for call in (
        put(stub, key(), of_size(200_000)),
        put(stub, key("c2"), of_size(200_000), request_id="r"),
        put(stub, key(), context(user_id="v"), update_mask=masked("user_id")),
    ):
        failure = await failure_of(call)
        assert failure.code is StatusCode.RESOURCE_EXHAUSTED
        assert failure.reason == "STORE_FULL"
        assert failure.retry_after is not None
    assert contents(client) == before
    answer = await get(stub, key())
    assert (answer.entry.context.user_id, answer.revision) == ("u", first.revision)
    looks = scripts_run(client)
    await until_async(lambda: scripts_run(client) > looks + 2)
    assert await health_of(server.address) == "SERVING"
    client("CONFIG", "SET", "maxmemory", "0")
    assert (await put(stub, key(), of_size(200_000))).revision > first.revision


async def test_an_invalidate_gets_through(stub: Stub, client: RedisClient) -> None:
    """A full Redis takes every Invalidate, with its event and the record of its request."""
    keys = [key("c1"), key("c2"), key("c3", scope="agent_config"), key("c4", scope="agent_config")]
    for each in keys:
        await put(stub, each, of_size(100_000))
    client("CONFIG", "SET", "maxmemory", "1mb")
    assert (await failure_of(put(stub, key("c5")))).reason == "STORE_FULL"
    first = await invalidate(stub, keys[0], request_id="r1")
    assert first.invalidated_count == 1
    assert await invalidate(stub, keys[0], request_id="r1") == first
    scope = await invalidate_tenant(stub, "acme", "agent_config")
    assert [await is_alive(stub, each) for each in keys] == [False, True, False, False]
    whole = await invalidate_tenant(stub, "acme")
    assert whole.revision > scope.revision > first.revision
    assert not await is_alive(stub, keys[1])
    # What ended is what there was, and not what comes later.
    client("CONFIG", "SET", "maxmemory", "0")
    await put(stub, keys[1])
    assert await is_alive(stub, keys[1])


def scripts_run(client: RedisClient) -> int:
    """The number of scripts that Redis was asked to run so far. Health checks run some, too."""
    calls: int = client("INFO", "commandstats")["cmdstat_evalsha"]["calls"]
    return calls


async def test_a_server_may_start_on_a_full_redis(
    stub: Stub, settings: Settings, client: RedisClient
) -> None:
    """A server can start on a full Redis whose layout is recorded, and read its entries."""
    await put(stub, key())
    client("CONFIG", "SET", "maxmemory", "1mb")
    async with serving(settings) as other:
        assert await is_alive(other, key())


def contents(client: RedisClient) -> dict[str, bytes]:
    """All keys and values of the store."""
    return {name: client("DUMP", name) for name in client.names("relevo")}


async def test_a_write_that_fails_halfway(stub: Stub, client: RedisClient) -> None:
    """If the event cannot be written, the entry is not written either, and the revision stays."""
    await put(stub, key(), context(user_id="u"))
    (log,) = (name for name in client.names("relevo") if name.endswith(":log"))
    client("RENAME", log, "aside")
    client("SET", log, "not a stream")
    before = contents(client)
    for call in (
        put(stub, key(), context(user_id="v")),
        put(stub, key("c2"), request_id="r"),
        invalidate(stub, key()),
        invalidate_tenant(stub, "acme"),
    ):
        assert (await failure_of(call)).reason == "INTERNAL"
    assert contents(client) == before
    client("RENAME", "aside", log)
    assert (await get(stub, key())).entry.context.user_id == "u"


async def test_a_redis_that_is_busy(stub: Stub, client: RedisClient, redis: RedisProcess) -> None:
    """While a foreign script blocks Redis, calls are UNAVAILABLE; then they work again."""
    await put(stub, key())
    client("CONFIG", "SET", "lua-time-limit", 20)
    with socket.create_connection(("127.0.0.1", redis.port)) as somebody:
        somebody.sendall(b'EVAL "while true do end" 0\r\n')
        until(lambda: is_busy(client))
        for call in (get(stub, key()), put(stub, key())):
            assert unavailable(await failure_of(call))
        client("SCRIPT", "KILL")
        until(lambda: not is_busy(client))  # the script ends some time after it was told to
    assert await is_alive(stub, key())


def is_busy(client: RedisClient) -> bool:
    """Whether Redis has noticed that a script takes too long."""
    try:
        client("PING")
    except ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def obstruct_saving(client: RedisClient) -> None:
    """Put a folder in the place of Redis's file. From 7.0 on, no client may name another file."""
    folder, file = (client("CONFIG", "GET", of)[of.encode()] for of in ("dir", "dbfilename"))
    Path(folder.decode(), file.decode()).mkdir()


@pytest.mark.parametrize("cause", ["MISCONF", "NOREPLICAS"])
async def test_a_redis_that_takes_no_writes_now(
    stub: Stub, client: RedisClient, cause: str
) -> None:
    """If Redis cannot save or replicate, it refuses writes, and the store is UNAVAILABLE."""
    first = await put(stub, key())
    before = contents(client)
    if cause == "NOREPLICAS":
        client("CONFIG", "SET", "min-replicas-to-write", 1)
    else:
        obstruct_saving(client)
        client("CONFIG", "SET", "save", "3600 1000000")
        client("BGSAVE")
        until(lambda: client("INFO", "persistence")["rdb_last_bgsave_status"] == "err")
    for call in (put(stub, key()), put(stub, key("c2"), request_id="r"), invalidate(stub, key())):
        assert unavailable(await failure_of(call))
    assert contents(client) == before
    client("CONFIG", "SET", "min-replicas-to-write", 0)
    client("CONFIG", "SET", "save", "")
    assert (await put(stub, key())).revision > first.revision


async def test_a_password_that_changed(stub: Stub, client: RedisClient, server: Server) -> None:
    """If Redis now requires another password, the store is UNAVAILABLE, without details."""
    await put(stub, key())
    client("CONFIG", "SET", "requirepass", "s3cret")
    client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def not_serving() -> bool:
        return await health_of(server.address) == "NOT_SERVING"

    await until_async(not_serving)
    failure = await failure_of(get(stub, key()))
    assert unavailable(failure)
    assert "pass" not in failure.message.lower()
    client("CONFIG", "SET", "requirepass", "")
    await recovered(stub)
