"""Errors of Redis are mapped to the store's errors by their meaning."""

import asyncio

import pytest
from grpc import StatusCode
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.storage import open_storage
from relevo_server.storage.interface import Write
from support.network.ports import NOBODY
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.fake import refusing_redis
from support.redis.process import RedisProcess

SCRIPT_62 = "ERR Error running script (call to f_0123): @user_script:29: @user_script: 29: -{}"
SCRIPT_70 = "{} script: 0123abcd, on @user_script:29."

TO_COMMANDS = [
    "LOADING Redis is loading the dataset in memory",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
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
    """A temporary refusal of Redis is UNAVAILABLE with RetryInfo.

    That holds for the answer to a command, and to one within a script, as Redis 6.2 and 7.0 word
    it.
    """
    failure = await store_failure(error)
    assert failure.code is StatusCode.UNAVAILABLE
    assert failure.retry_after


async def test_a_connection_to_a_replica_is_not_used_again(client: RedisClient, way: Proxy) -> None:
    """After READONLY the next command opens a connection: the name may now be another server's."""
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


async def test_who_follows_a_server_that_becomes_a_replica(
    redis: RedisProcess, client: RedisClient
) -> None:
    """A replica lags: the next read of its log is UNAVAILABLE, and ends the waits for others."""
    storage = open_storage(redis.url, partitions=4)
    await storage.check()
    end = (await storage.tail(0, None, 1)).revision
    waiting = asyncio.create_task(storage.wait(0, end, 3600))
    client("REPLICAOF", "127.0.0.1", NOBODY)
    with pytest.raises(StoreError) as caught:
        await storage.tail(1, None, 1)
    assert caught.value.code is StatusCode.UNAVAILABLE
    with pytest.raises(StoreError) as caught:
        await waiting
    assert caught.value.code is StatusCode.UNAVAILABLE
    client("REPLICAOF", "NO", "ONE")
    assert (await storage.tail(0, None, 1)).revision == end
    await storage.close()


@pytest.mark.parametrize("form", ["{}", SCRIPT_62, SCRIPT_70], ids=["plain", "6.2", "7.0"])
async def test_no_memory_is_resource_exhausted(form: str) -> None:
    """OOM is RESOURCE_EXHAUSTED, in every wording."""
    oom = "OOM command not allowed when used memory > 'maxmemory'."
    failure = await store_failure(form.format(oom))
    assert (failure.code, failure.reason) == (StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")


@pytest.mark.parametrize(
    "error",
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "ERR something else"],
)
async def test_anything_else_is_a_defect(error: str) -> None:
    """An unexpected error is INTERNAL, and its text is not passed on."""
    failure = await store_failure(error)
    assert (failure.code, failure.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert error not in failure.message


async def store_failure(error: str) -> StoreError:
    """The common error of reads and writes on a Redis that refuses all scripts."""
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
