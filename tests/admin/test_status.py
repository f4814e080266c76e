"""GetStatus and ListPartitions: the state of the server and of its store."""

import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import pytest
from pydantic import SecretStr
from relevo.admin.v1.admin_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    ListPartitionsRequest,
    Partition,
)
from relevo.v1.store_pb2 import Consistency, GetRequest
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.telemetry import process
from support.clients.admin import AdminStub, admin_of
from support.clients.calls import TIMEOUT, Stub, context, key, put
from support.clients.watching import Watch
from support.redis.client import RedisClient
from support.waiting import until_async


async def status_of(admin: AdminStub) -> GetStatusResponse:
    """The state of the server and its store."""
    return await admin.GetStatus(GetStatusRequest(), timeout=TIMEOUT)


async def partition_for(admin: AdminStub, tenant: str, count: int = 64) -> Partition:
    """The state of a tenant's partition."""
    response = await admin.ListPartitions(ListPartitionsRequest(), timeout=TIMEOUT)
    assert [each.number for each in response.partitions] == list(range(count))
    return response.partitions[partition_of(tenant, count)]


async def test_the_server(admin: AdminStub, stub: Stub) -> None:
    """The status says which process answers, since when, and what it holds in memory."""
    begun = time.time()
    await put(stub, key(), context(user_id="u" * 1000))
    cached = GetRequest(key=key(), consistency=Consistency.CONSISTENCY_CACHED)

    async def is_cached() -> bool:
        await stub.Get(cached, timeout=TIMEOUT)
        return bool((await status_of(admin)).server.cached_entries)

    await until_async(is_cached)
    server = (await status_of(admin)).server
    assert server.version == version("relevo")
    assert (server.host_name, server.process_id) == (socket.gethostname(), os.getpid())
    assert begun - 60 < server.start_time.ToNanoseconds() / 1e9 < time.time()
    assert server.cached_entries == 1
    assert 1000 < server.cached_bytes < 3000
    assert server.resident_bytes > 10 << 20


async def test_a_server_that_is_not_installed(
    admin: AdminStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that runs from sources has no version, and a status nevertheless."""

    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(process, "version", not_installed)
    process.release.cache_clear()
    try:
        assert (await status_of(admin)).server.version == "unknown"
    finally:
        process.release.cache_clear()


async def test_calls_and_streams(admin: AdminStub, stub: Stub) -> None:
    """The status counts calls of the store in flight, streams and their subscriptions."""
    before = (await status_of(admin)).server
    assert (before.active_calls, before.watchers, before.subscriptions) == (0, 0, 0)
    async with Watch(stub) as one, Watch(stub) as two:
        for watch, ids in ((one, ("c1", "c2")), (two, ("c1",))):
            for each in ids:
                watch.subscribe(key(each))

        async def is_counted() -> bool:
            server = (await status_of(admin)).server
            return (server.watchers, server.subscriptions) == (2, 3)

        await until_async(is_counted)

    async def is_over() -> bool:
        server = (await status_of(admin)).server
        return (server.watchers, server.subscriptions) == (0, 0)

    await until_async(is_over)


async def test_the_store(admin: AdminStub, settings: Settings, store_url: str) -> None:
    """The status says which database it is, what it uses, and how its clock differs."""
    store = (await status_of(admin)).store
    assert (store.available, store.reason) == (True, "")
    assert store.partitions == settings.partitions
    assert 0 <= store.latency.ToNanoseconds() < 5e9
    assert abs(store.clock_offset.ToMilliseconds()) < 5000
    if store_url == "memory://":
        assert (store.kind, store.version, store.used_bytes) == ("memory", "", 0)
        return
    with RedisClient(store_url) as redis:
        info = redis("INFO", "everything")
        assert store.kind == "redis"
        name = "valkey" if "valkey_version" in info else "redis"
        assert store.version == f"{name} {info[f'{name}_version']}"
        assert store.used_bytes > 100_000
        assert store.max_bytes == info["maxmemory"]
        assert store.eviction_policy == info["maxmemory_policy"]


@contextmanager
def limited(url: str, megabytes: int) -> Generator[None]:
    """Give a Redis a limit of memory for a while."""
    with RedisClient(url) as redis:
        redis("CONFIG", "SET", "maxmemory", megabytes << 20)
        try:
            yield
        finally:
            redis("CONFIG", "SET", "maxmemory", 0)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_limit_of_memory(admin: AdminStub, store_url: str) -> None:
    """The status has the database's limit of memory."""
    with limited(store_url, 512):
        assert (await status_of(admin)).store.max_bytes == 512 << 20
    assert (await status_of(admin)).store.max_bytes == 0


async def test_without_the_store(port: int) -> None:
    """Without its store, a server still says how it is, and why its store does not answer."""
    settings = Settings(
        listen="127.0.0.1:0",
        store=SecretStr(f"redis://:s3cret@127.0.0.1:{port}"),
        store_timeout=0.2,
        grace=0.1,
    )
    async with Server(settings) as server, admin_of(server.address) as admin:
        status = await status_of(admin)
    assert status.server.process_id == os.getpid()
    assert (status.store.available, status.store.kind) == (False, "redis")
    assert status.store.reason == "the store cannot be reached"


async def test_partitions(admin: AdminStub, stub: Stub) -> None:
    """A partition has its last revision, and the length and the beginning of its log."""
    empty = await partition_for(admin, "acme")
    assert (empty.revision, empty.log_length, empty.first_revision) == (0, 0, 0)
    versions = [(await put(stub, key(f"c{i}"))).revision for i in range(3)]
    found = await partition_for(admin, "acme")
    assert (found.revision, found.log_length) == (versions[-1], 3)
    assert found.first_revision == versions[0]
    assert not found.followed
    other = await partition_for(admin, "globex")
    assert (other.number == found.number, other.log_length) == (False, 0)


async def test_followed_partitions(admin: AdminStub, stub: Stub) -> None:
    """A partition is followed while a stream has subscriptions in it, up to its last revision."""
    async with Watch(stub) as one, Watch(stub) as two:
        for watch in (one, two):
            for i in range(3):
                watch.subscribe(key(f"c{i}"))
        version = (await put(stub, key())).revision

        async def is_followed() -> bool:
            found = await partition_for(admin, "acme")
            return (found.followed, found.followed_revision, found.watchers) == (True, version, 2)

        await until_async(is_followed)

    async def is_left() -> bool:
        found = await partition_for(admin, "acme")
        return (found.followed, found.followed_revision, found.watchers) == (False, 0, 0)

    await until_async(is_left)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_log_that_is_none(admin: AdminStub, settings: Settings, store_url: str) -> None:
    """A log's key that is no stream costs the figures of its own partition only (S8)."""
    number = partition_of("acme", settings.partitions)
    with RedisClient(store_url) as redis:
        redis("SET", f"{{{settings.store_prefix}:{number}}}:log", "not a stream")
        redis("HSET", f"{{{settings.store_prefix}:{number}}}:state", "revision", "nonsense")
    found = await partition_for(admin, "acme")
    assert (found.revision, found.log_length, found.first_revision) == (0, 0, 0)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
@pytest.mark.parametrize("lost", [("HDEL", "revision"), ("HSET", "revision", "nonsense")])
async def test_a_revision_that_was_lost(
    admin: AdminStub, stub: Stub, settings: Settings, store_url: str, lost: tuple[str, ...]
) -> None:
    """If the record of the last revision was lost, it is the last event's, and recorded again."""
    versions = [(await put(stub, key())).revision for _ in range(3)]
    state = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}:state"
    command, *args = lost
    with RedisClient(store_url) as redis:
        before = redis("HGET", state, "revision")
        redis(command, state, *args)
        found = await partition_for(admin, "acme")
        assert (found.revision, found.log_length) == (versions[-1], 3)
        assert redis("HGET", state, "revision") == before
