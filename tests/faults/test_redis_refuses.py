"""What Redis refuses is a typed error: never a conflict, never "not found" (case 27)."""

import asyncio
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
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.fake import refusing_redis
from support.redis.process import RedisProcess
from support.servers.serving import health_of, serving
from support.waiting import until, until_async

SCRIPT_62 = "ERR Error running script (call to f_0123): @user_script:29: @user_script: 29: -{}"
SCRIPT_70 = "{} script: 0123abcd, on @user_script:29."

TO_COMMANDS = [
    "LOADING Redis is loading the dataset in memory",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "ERR max number of clients reached",
]
WITHIN_SCRIPTS_TOO = [
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
    "NOREPLICAS Not enough good replicas to write.",
    "NOPERM The user executing the script can't run this command or subcommand",
]


@pytest.mark.parametrize(
    "error",
    [
        *TO_COMMANDS,
        *(form.format(e) for form in ("{}", SCRIPT_62, SCRIPT_70) for e in WITHIN_SCRIPTS_TOO),
    ],
)
async def test_what_will_pass_is_unavailable(error: str) -> None:
    """What a Redis says that works, but not now or not for us, is UNAVAILABLE with RetryInfo.

    Be it the answer to the command itself, or to one within a script, as Redis
    6.2 and 7.0 word it.
    """
    failure = await store_failure(error)
    assert failure.code is StatusCode.UNAVAILABLE
    assert failure.retry_after


async def test_a_connection_to_a_replica_is_not_used_again(client: RedisClient, way: Proxy) -> None:
    """After READONLY the next command opens a connection: the name may mean another server now."""
    storage = open_storage(f"redis://127.0.0.1:{way.port}", partitions=4)
    named = Key("conversation", "acme", "c1")
    await storage.write(Write(named, b"", 1000))
    before = way.accepted
    client("REPLICAOF", "127.0.0.1", NOBODY)
    with pytest.raises(StoreError) as caught:
        await storage.read([named])
    assert caught.value.code is StatusCode.UNAVAILABLE
    client("REPLICAOF", "NO", "ONE")
    await storage.read([named])
    assert way.accepted == before + 1
    await storage.close()


async def test_who_waits_at_a_server_that_becomes_a_replica(
    redis: RedisProcess, client: RedisClient
) -> None:
    """Who waits for a log learns at once that this is no master any more: UNAVAILABLE."""
    storage = open_storage(redis.url, partitions=4)
    await storage.check()
    waiting = asyncio.create_task(storage.wait(0, 1, 5))
    await until_async(lambda: asyncio.sleep(0, client("INFO", "clients")["blocked_clients"]))
    client("REPLICAOF", "127.0.0.1", NOBODY)
    with pytest.raises(StoreError) as caught:
        await waiting
    assert caught.value.code is StatusCode.UNAVAILABLE
    await storage.close()


@pytest.mark.parametrize("form", ["{}", SCRIPT_62, SCRIPT_70], ids=["plain", "6.2", "7.0"])
async def test_no_memory_is_resource_exhausted(form: str) -> None:
    """Want of memory is RESOURCE_EXHAUSTED, in every wording."""
    oom = "OOM command not allowed when used memory > 'maxmemory'."
    failure = await store_failure(form.format(oom))
    assert (failure.code, failure.reason) == (StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")


@pytest.mark.parametrize(
    "error",
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "ERR something else"],
)
async def test_anything_else_is_a_defect(error: str) -> None:
    """What nobody expects is INTERNAL, and not told to the caller."""
    failure = await store_failure(error)
    assert (failure.code, failure.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert error not in failure.message


async def store_failure(error: str) -> StoreError:
    """What reading and writing come to on a Redis that refuses all scripts; they agree."""
    failures: list[StoreError] = []
    named = Key("conversation", "acme", "c1")
    async with refusing_redis(error) as url:
        storage = open_storage(url, partitions=4)
        for step in (
            lambda: storage.read([named]),
            lambda: storage.write(Write(named, b"", 1000)),
            lambda: storage.invalidate([named]),
            storage.check,
        ):
            with pytest.raises(StoreError) as caught:
                await step()
            failures.append(caught.value)
        await storage.close()
    assert len({(failure.code, failure.reason) for failure in failures}) == 1
    return failures[0]


def unavailable(failure: Failure) -> bool:
    """Whether a failure says to come back."""
    return (
        failure.code is StatusCode.UNAVAILABLE
        and failure.reason == "STORE_UNAVAILABLE"
        and failure.retry_after is not None
    )


async def recovered(stub: Stub) -> None:
    """Wait until a Put is possible again. Until then it is UNAVAILABLE."""

    async def written() -> bool:
        try:
            await put(stub, key("after"))
        except aio.AioRpcError as error:
            assert error.code() is StatusCode.UNAVAILABLE  # noqa: PT017
            return False
        return True

    await until_async(written)


async def test_a_replica_takes_no_writes(stub: Stub, client: RedisClient, server: Server) -> None:
    """Where the primary became a replica, writes are UNAVAILABLE; so is the server's health."""
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
    """A replica may lag: what it holds is not handed out as the present (S2)."""
    await put(stub, key(), context(user_id="u"))
    with RedisProcess() as primary:
        client("REPLICAOF", "127.0.0.1", primary.port)
        assert unavailable(await failure_of(get(stub, key())))


async def test_loading() -> None:
    """While Redis reads its data, the store is UNAVAILABLE: what is not loaded is not missing."""
    # Redis answers in between only every 2 MiB, and is made slow at each key.
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
    """A full Redis refuses writes, which leave nothing behind. Reads go on, and so does health."""
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
    await until_async(lambda: asyncio.sleep(0, scripts_run(client) > looks + 2))
    assert await health_of(server.address) == "SERVING"
    client("CONFIG", "SET", "maxmemory", "0")
    assert (await put(stub, key(), of_size(200_000))).revision > first.revision


def scripts_run(client: RedisClient) -> int:
    """How many scripts Redis was asked to run so far. When nobody calls, health does."""
    calls: int = client("INFO", "commandstats")["cmdstat_evalsha"]["calls"]
    return calls


async def test_a_server_may_start_on_a_full_redis(
    stub: Stub, settings: Settings, client: RedisClient
) -> None:
    """A store that is set up and full can be read by a server that comes later."""
    await put(stub, key())
    client("CONFIG", "SET", "maxmemory", "1mb")
    async with serving(settings) as other:
        assert await is_alive(other, key())


def contents(client: RedisClient) -> dict[str, bytes]:
    """Everything that the store holds."""
    return {name: client("DUMP", name) for name in client.names("relevo")}


async def test_a_write_that_fails_halfway(stub: Stub, client: RedisClient) -> None:
    """Where the event cannot be written, the value is not, and the revision stays."""
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
    """While somebody's script blocks Redis, calls are UNAVAILABLE; then they work again."""
    await put(stub, key())
    client("CONFIG", "SET", "lua-time-limit", 20)
    with socket.create_connection(("127.0.0.1", redis.port)) as somebody:
        somebody.sendall(b'EVAL "while true do end" 0\r\n')
        until(lambda: is_busy(client))
        for call in (get(stub, key()), put(stub, key())):
            assert unavailable(await failure_of(call))
        client("SCRIPT", "KILL")
        until(lambda: not is_busy(client))  # it is told to end, which is not to have ended
    assert await is_alive(stub, key())


def is_busy(client: RedisClient) -> bool:
    """Whether Redis has noticed that a script takes too long."""
    try:
        client("PING")
    except ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def obstruct_saving(client: RedisClient) -> None:
    """Put a folder where Redis writes its file. From 7.0 on, no client may name another file."""
    folder, file = (client("CONFIG", "GET", of)[of.encode()] for of in ("dir", "dbfilename"))
    Path(folder.decode(), file.decode()).mkdir()


@pytest.mark.parametrize("cause", ["MISCONF", "NOREPLICAS"])
async def test_a_redis_that_takes_no_writes_now(
    stub: Stub, client: RedisClient, cause: str
) -> None:
    """Where Redis could not save or replicate a write, it refuses it, and so does the store."""
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
    """Where Redis wants another password now, the store is UNAVAILABLE, and nothing is told."""
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
