"""Changes that are followed: the log so far, then each new change until the caller ends it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from relevo.admin.v1.admin_pb2 import (
    ChangesRequest,
    ChangesResponse,
    GetStatusRequest,
    ListPartitionsRequest,
)
from relevo.v1.store_pb2 import TenantSelector
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import Storage, open_storage
from support.clients.admin import AdminStub, Following, admin_of
from support.clients.calls import TIMEOUT, Stub, invalidate, invalidate_tenant, key, put
from support.failures import failure_of
from support.redis.client import RedisClient
from support.servers.serving import serving, stub_of
from support.servers.spied_storage import Spy
from support.waiting import until_async

ACME = TenantSelector(tenant_id="acme")
FOLLOW = ChangesRequest(tenant=ACME, follow=True)
LOST_REVISIONS = [("HDEL", "revision"), ("HSET", "revision", "nonsense"), ("DEL",)]
"""Commands on the hash of a partition, after which it has no last revision."""


async def followed(admin: AdminStub) -> bool:
    """Whether the server follows the log of any partition."""
    response = await admin.ListPartitions(ListPartitionsRequest(), timeout=TIMEOUT)
    return any(each.followed for each in response.partitions)


async def revisions(following: Following, count: int) -> list[int]:
    """The revisions of the next changes, none after a gap."""
    messages = [await following.next() for _ in range(count)]
    assert not any(each.gap for each in messages)
    return [each.change.revision for each in messages]


async def test_past_and_future(admin: AdminStub, stub: Stub) -> None:
    """A stream has the log so far, then every write as it happens, each once and in order."""
    before = [(await put(stub, key(f"c{i}"))).revision for i in range(3)]
    async with Following(admin, FOLLOW) as following:
        assert await revisions(following, 3) == before
        for write in (
            lambda: put(stub, key()),
            lambda: invalidate(stub, key()),
            lambda: invalidate_tenant(stub, "acme", "conversation"),
            lambda: invalidate_tenant(stub, "acme"),
            lambda: put(stub, key()),
        ):
            written = (await write()).revision
            assert await revisions(following, 1) == [written]


async def test_only_what_is_asked_for(admin: AdminStub, stub: Stub) -> None:
    """A stream of one key tells of no other one, but of the end of its tenant."""
    request = ChangesRequest(key=key(), follow=True)
    async with Following(admin, request) as following:
        first = (await put(stub, key())).revision
        assert await revisions(following, 1) == [first]
        await put(stub, key("c2"))
        await put(stub, key(tenant="globex"))
        await invalidate_tenant(stub, "acme", "agent_config")
        last = (await invalidate_tenant(stub, "acme")).revision
        assert await revisions(following, 1) == [last]


async def test_after_a_revision(admin: AdminStub, stub: Stub) -> None:
    """A stream resumes after a revision: what came since is told first."""
    versions = [(await put(stub, key())).revision for _ in range(5)]
    request = ChangesRequest(tenant=ACME, follow=True, after_revision=versions[2])
    async with Following(admin, request) as following:
        assert await revisions(following, 2) == versions[3:]
        written = (await put(stub, key())).revision
        assert await revisions(following, 1) == [written]


async def test_nothing_is_missed_at_the_beginning(admin: AdminStub, stub: Stub) -> None:
    """Writes during the beginning of a stream are told, each once, whatever the timing."""
    for _ in range(5):
        writes = [asyncio.create_task(put(stub, key(f"c{i}"))) for i in range(20)]
        request = ChangesRequest(tenant=ACME, follow=True, limit=10_000)
        async with Following(admin, request) as following:
            written = sorted([(await each).revision for each in writes])
            found = await revisions(following, 20)
            while found[-1] < written[-1]:
                found += await revisions(following, 1)
        assert found == sorted(set(found))
        assert set(written) <= set(found)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_writes_of_other_servers(settings: Settings) -> None:
    """A stream tells of writes that went through another server of the same store."""
    async with (
        serving(settings) as elsewhere,
        Server(settings) as server,
        admin_of(server.address) as admin,
        Following(admin, FOLLOW) as following,
    ):
        for _ in range(3):
            written = (await put(elsewhere, key())).revision
            assert await revisions(following, 1) == [written]


@asynccontextmanager
async def spied(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[Spy, Server, Storage]]:
    """A server with a short log, whose backend is spied on."""
    storage = open_storage(
        settings.store.get_secret_value(),
        partitions=1,
        prefix=settings.store_prefix,
        log_length=100,
    )
    spy = Spy(storage, monkeypatch)
    async with Server(settings.model_copy(update={"partitions": 1}), storage) as server:
        yield spy, server, storage


async def test_a_log_that_is_trimmed_meanwhile(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the log was trimmed before its changes could be told, a message says so."""
    async with (
        spied(settings, monkeypatch) as (spy, server, _),
        stub_of(server.address) as stub,
        admin_of(server.address) as admin,
        Following(admin, FOLLOW) as following,
    ):
        first = (await put(stub, key())).revision
        assert await revisions(following, 1) == [first]
        spy.looks_go_on.clear()
        for _ in range(400):
            await put(stub, key())
        spy.looks_go_on.set()
        assert await following.next() == ChangesResponse(gap=True)
        last = (await put(stub, key())).revision
        while (message := await following.next()).change.revision < last:
            assert not message.gap


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_store_that_lost_its_data(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, store_url: str
) -> None:
    """If the order of revisions was lost, a message says so, and the stream goes on."""
    async with (
        spied(settings, monkeypatch) as (_, server, __),
        stub_of(server.address) as stub,
        admin_of(server.address) as admin,
        Following(admin, FOLLOW) as following,
    ):
        await put(stub, key())
        await following.next()
        with RedisClient(store_url) as redis:
            redis("DEL", *(f"{{{settings.store_prefix}:0}}:{name}" for name in ("log", "state")))
        await put(stub, key("c2"))
        assert (await following.next()).gap
        last = (await put(stub, key("c3"))).revision
        while (message := await following.next()).change.revision != last:
            assert message.change.key.id in ("", "c2")


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
@pytest.mark.parametrize("lost", LOST_REVISIONS)
async def test_a_store_that_lost_its_revision(
    admin: AdminStub, stub: Stub, settings: Settings, store_url: str, lost: tuple[str, ...]
) -> None:
    """If the record of the last revision was lost, the log has it: each change is told once."""
    before = [(await put(stub, key(f"c{i}"))).revision for i in range(3)]
    partition = partition_of("acme", settings.partitions)
    command, *args = lost
    with RedisClient(store_url) as redis:
        redis(command, f"{{{settings.store_prefix}:{partition}}}:state", *args)
    async with Following(admin, FOLLOW) as following:
        assert await revisions(following, 3) == before
        written = (await put(stub, key())).revision
        assert await revisions(following, 1) == [written]


async def test_a_caller_that_ends_it(admin: AdminStub, stub: Stub) -> None:
    """A stream ends with its call: nothing goes on following the log. It is no call in flight."""
    async with Following(admin, FOLLOW) as following:
        await put(stub, key())
        await following.next()
        assert await followed(admin)
        status = await admin.GetStatus(GetStatusRequest(), timeout=TIMEOUT)
        assert (status.server.active_calls, status.server.watchers) == (0, 0)

    async def is_over() -> bool:
        return not await followed(admin)

    await until_async(is_over)


async def test_many_streams(admin: AdminStub, stub: Stub) -> None:
    """Streams are no calls in flight: more of them than calls are allowed do not stop others."""
    streams = [Following(admin, FOLLOW) for _ in range(70)]
    try:
        written = (await put(stub, key())).revision
        for each in streams:
            assert await revisions(each, 1) == [written]
        await admin.GetStatus(GetStatusRequest(), timeout=TIMEOUT)
    finally:
        for each in streams:
            each.call.cancel()


async def test_a_server_that_stops(settings: Settings) -> None:
    """A stream ends with UNAVAILABLE when its server stops, and its client goes on elsewhere."""
    async with Server(settings) as server, AsyncExitStack() as clients:
        admin = await clients.enter_async_context(admin_of(server.address))
        stub = await clients.enter_async_context(stub_of(server.address))
        following = await clients.enter_async_context(Following(admin, FOLLOW))
        await put(stub, key())
        await following.next()
        later = clients.pop_all()
    async with later:
        assert (await failure_of(following.next())).reason == "SERVER_STOPPING"
