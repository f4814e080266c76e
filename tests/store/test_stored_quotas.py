"""Quotas in the store: how many entries, and how many bytes of contexts, a tenant may have."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import StatusCode
from relevo_server.keys import Key
from relevo_server.quotas import Limits, Quotas
from relevo_server.server import Server
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.inspection import Held
from relevo_server.storage.interface import Write
from relevo_server.storage.redis import recount as recounts
from relevo_server.storage.redis.storage import RedisStorage
from support.clients.calls import (
    Stub,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
    seconds,
)
from support.contexts import of_size
from support.failures import Failure, failure_of
from support.redis.client import RedisClient
from support.servers.serving import serving_service, stub_of
from support.servers.settings import settings_on
from support.waiting import until_async

FOREIGN = key(tenant="globex")
on_redis = pytest.mark.parametrize("store_url", ["redis"], indirect=True)


def quotas_of(**limits: Any) -> Quotas:
    """These limits for `acme`, and none in the store for others."""
    return Quotas.model_validate({"tenants": [{"pattern": "acme", **limits}]})


@asynccontextmanager
async def limited(
    storage: Storage, settings: Settings, **limits: Any
) -> AsyncGenerator[Stub, None]:
    """The stub of a server with these limits for `acme`."""
    service = ContextStore(storage, settings.model_copy(update={"quotas": quotas_of(**limits)}))
    async with serving_service(service) as stub:
        yield stub


def assert_over(failure: Failure, quota: str, limit: int) -> None:
    """See that a Put was refused because this quota of acme's is used up."""
    assert (failure.code, failure.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert failure.metadata == {"tenant_id": "acme", "quota": quota, "limit": str(limit)}
    assert failure.retry_after is not None


async def recount(storage: Storage) -> None:
    """Recount now."""
    await asyncio.sleep(0.002)  # the last one's turn, of a millisecond, is over
    await storage.inspection.recount(storage.limits_of, 0.001)


async def test_entries(storage: Storage, settings: Settings) -> None:
    """Over its quota a tenant adds no entry. It may replace and end its entries; others add."""
    async with limited(storage, settings, entries=3) as stub:
        for i in range(3):
            await put(stub, key(f"c{i}"), request_id=f"r{i}")
        for new in (
            put(stub, key("c3")),
            put(stub, key("c3"), if_absent=True),
            put(stub, key("c3"), request_id="r"),
        ):
            assert_over(await failure_of(new), "entries", 3)
        assert not await is_alive(stub, key("c3"))
        await put(stub, key("c0"), request_id="r0")  # a repetition: nothing is counted
        await put(stub, key("c0"), of_size(5000))
        await put(stub, key("c0"), of_size(5000), update_mask=masked("user_id"))
        for i in range(5):
            await put(stub, key(f"c{i}", tenant="globex"))
        await invalidate(stub, key("c1"), key("none"), request_id="i")
        await invalidate(stub, key("c1"), request_id="j")
        await put(stub, key("c3"), request_id="r")
        assert_over(await failure_of(put(stub, key("c1"))), "entries", 3)
        assert (await storage.inspection.held("acme")).entries == 3


async def test_bytes(storage: Storage, settings: Settings) -> None:
    """Over its quota no Put makes a tenant larger, new or not. One that makes it smaller passes."""
    async with limited(storage, settings, bytes=1000) as stub:
        await put(stub, key("c0"), of_size(600))
        await put(stub, key("c1"), of_size(300))
        for large in (put(stub, key("c2"), of_size(101)), put(stub, key("c1"), of_size(401))):
            assert_over(await failure_of(large), "bytes", 1000)
        await put(stub, key("c1"), of_size(400))
        assert_over(await failure_of(put(stub, key("c2"), of_size(20))), "bytes", 1000)
        await put(stub, key("c0"), of_size(600))
        await put(stub, key("c0"), of_size(100))
        await put(stub, key("c2"), of_size(500))
        await put(stub, FOREIGN, of_size(5000))
        assert await storage.inspection.held("acme") == Held(3, 1000)


async def test_a_tenant_that_has_more_than_it_may(storage: Storage, settings: Settings) -> None:
    """After a limit was lowered, nothing is lost, and a tenant can only become smaller."""
    service = ContextStore(
        storage, settings.model_copy(update={"quotas": quotas_of(entries=9, bytes=9000)})
    )
    async with serving_service(service) as stub:
        for i in range(3):
            await put(stub, key(f"c{i}"), of_size(1000))
        service.update_quotas(quotas_of(entries=1, bytes=500))
        assert_over(await failure_of(put(stub, key("c9"), of_size(50))), "entries", 1)
        assert_over(await failure_of(put(stub, key("c0"), of_size(1001))), "bytes", 500)
        await put(stub, key("c0"), of_size(900))
        await put(stub, key("c0"), of_size(900))
        assert await is_alive(stub, key("c2"))
        assert (await invalidate(stub, key("c0"), key("c1"))).invalidated_count == 2
        assert await storage.inspection.held("acme") == Held(1, 1000)


async def test_what_was_there_before_the_quota(storage: Storage, settings: Settings) -> None:
    """A recount finds what was written while there was no quota, of the limited tenants only."""
    service = ContextStore(storage, settings)
    async with serving_service(service) as stub:
        for tenant, scope in itertools.product(("acme", "acme:2", "größe %"), ("a", "b:%")):
            for i in range(4):
                await put(stub, key(f"{i}", tenant=tenant, scope=scope), of_size(100))
        limits = [{"pattern": "globex"}, {"pattern": "*", "entries": 8, "bytes": 850}]
        service.update_quotas(Quotas.model_validate({"tenants": limits}))
        await recount(storage)
        for tenant in ("acme", "acme:2", "größe %"):
            assert await storage.inspection.held(tenant) == Held(8, 800)
            failure = await failure_of(put(stub, key("new", tenant=tenant)))
            assert failure.metadata["tenant_id"] == tenant
        await put(stub, FOREIGN)


async def test_what_ends_without_a_call(storage: Storage, settings: Settings) -> None:
    """After a recount there is room again for what has expired, and for what a floor has ended."""
    async with limited(storage, settings, entries=4, bytes=4000) as stub:
        await put(stub, key("c0"), of_size(1000))
        await put(stub, key("c1", scope="agent_config"), of_size(1000))
        for i in (2, 3):
            await put(stub, key(f"c{i}"), of_size(1000), ttl=seconds(0.05))

        async def is_expired() -> bool:
            return not (await is_alive(stub, key("c2")) or await is_alive(stub, key("c3")))

        await until_async(is_expired)
        await recount(storage)
        for i in (4, 5):
            await put(stub, key(f"c{i}"), of_size(1000))
        assert await storage.inspection.held("acme") == Held(4, 4000)
        await invalidate_tenant(stub, "acme", "conversation")
        await recount(storage)
        await put(stub, key("c6"), of_size(3000))
        assert_over(await failure_of(put(stub, key("c7"), of_size(50))), "bytes", 4000)
        await invalidate_tenant(stub, "acme")
        await recount(storage)
        await put(stub, key("c7"), of_size(4000))


def records(redis: RedisClient, settings: Settings, kind: str) -> list[str]:
    """The names of the store's records of one kind."""
    return [name for name in redis.names(settings.store_prefix) if f"}}:{kind}" in name]


@on_redis
async def test_what_a_floor_ended_takes_no_memory(
    storage: Storage, settings: Settings, redis: RedisClient
) -> None:
    """A recount deletes the records that a floor has ended, and no others."""
    async with limited(storage, settings, entries=10) as stub:
        for tenant, i in itertools.product(("acme", "globex"), range(3)):
            await put(stub, key(f"c{i}", tenant=tenant))
        await invalidate_tenant(stub, "acme")
        await invalidate_tenant(stub, "globex")  # which has no quota
        await put(stub, key("c0"))
        await recount(storage)
        names = records(redis, settings, "entry")
        assert [name.partition("entry:")[2] for name in names if "acme" in name] == [
            "conversation:acme:c0"
        ]
        assert len(names) == 4
        assert await is_alive(stub, key("c0"))


@on_redis
async def test_eviction(storage: Storage, settings: Settings, redis: RedisClient) -> None:
    """After a recount there is room again for what Redis has evicted."""
    async with limited(storage, settings, entries=2) as stub:
        await put(stub, key("c0"))
        await put(stub, key("c1"))
        redis("DEL", *records(redis, settings, "entry"))
        assert_over(await failure_of(put(stub, key("c2"))), "entries", 2)
        await recount(storage)
        assert await storage.inspection.held("acme") == Held(0, 0)
        await put(stub, key("c2"))


@on_redis
async def test_a_foreign_record_counts_nothing(
    storage: Storage, settings: Settings, redis: RedisClient
) -> None:
    """A record of another kind under an entry's name is not counted, and its Put counts it new."""
    async with limited(storage, settings, entries=2) as stub:
        await put(stub, key("c0"), of_size(100))
        (name,) = records(redis, settings, "entry")
        redis("SET", f"{name}0", "foreign")
        redis("SET", f"{name}:1", "foreign")
        await recount(storage)
        assert await storage.inspection.held("acme") == Held(1, 100)
        await put(stub, key("c00"), of_size(50))
        assert await storage.inspection.held("acme") == Held(2, 150)
        await recount(storage)
        assert await storage.inspection.held("acme") == Held(2, 150)


@on_redis
async def test_without_a_quota_nothing_is_counted(
    storage: Storage, settings: Settings, redis: RedisClient
) -> None:
    """The writes of a tenant without a quota in the store leave no record of its use."""
    async with limited(storage, settings, entries=2) as stub:
        await put(stub, FOREIGN, of_size(100))
        await invalidate(stub, FOREIGN)
        assert records(redis, settings, "usage") == []


def acme_alone(tenant_id: str) -> Limits | None:
    """A quota for `acme`."""
    return quotas_of(entries=1000).of_tenant(tenant_id, 64) if tenant_id == "acme" else None


async def held_and_true(storage: Storage, count: int) -> tuple[Held, Held]:
    """What `acme` is counted to have, and what it has of so many possible entries."""
    keys = [Key("conversation", "acme", f"c{i}") for i in range(count)]
    found = [each for each in (await storage.read(keys)).entries if each]
    return await storage.inspection.held("acme"), Held(len(found), sum(e.size for e in found))


@on_redis
async def test_writes_during_a_recount(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written during a recount, the count is never too low, and right after another."""
    storage.limit(acme_alone)
    keys = [Key("conversation", "acme", f"c{i}") for i in range(60)]
    for i, each in enumerate(keys[:40]):
        await storage.write(Write(each, b"x" * i, 60_000))
    for turn in range(8):
        step = 0
        with monkeypatch.context() as patch:
            patch.setattr(recounts, "_SEARCHED_TOGETHER", 10)
            patch.setattr(recounts, "_MEASURED_TOGETHER", 5)
            counting = asyncio.create_task(recount(storage))
            while not counting.done():
                step += 1
                each = keys[(7 * step + 13 * turn) % len(keys)]
                if step % 3:
                    await storage.write(Write(each, b"x" * ((step * 31 + turn) % 90), 60_000))
                else:
                    await storage.invalidate([each])
            await counting
        assert step > 3
        held, true = await held_and_true(storage, len(keys))
        assert held.entries >= true.entries
        assert held.bytes >= true.bytes
        await recount(storage)
        held, true = await held_and_true(storage, len(keys))
        assert held == true


@on_redis
async def test_a_write_after_the_search(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after a recount has passed it by, and before its end, is counted."""
    monkeypatch.setattr(recounts, "_MEASURED_TOGETHER", 1)
    storage.limit(acme_alone)
    inspection: Any = storage.inspection
    keys = [Key("conversation", "acme", f"c{i}") for i in range(4)]
    for each in keys[:2]:
        await storage.write(Write(each, b"xx", 60_000))

    async def followed(pattern: str, count: int) -> AsyncGenerator[Any, None]:
        async for names in inspection._client.scan_all(pattern, count):
            yield names
        await storage.write(Write(keys[0], b"xxxxx", 60_000))
        await storage.write(Write(keys[2], b"xx", 60_000))
        await storage.write(Write(keys[3], b"xx", 60_000))
        await storage.invalidate([keys[3]])

    recount: Any = recounts.Recount(
        followed, inspection._run, inspection._prefix, storage.partitions, 0.001
    )
    await recount.run(acme_alone)
    held, true = await held_and_true(storage, len(keys))
    assert true == Held(3, 9)
    assert held == Held(4, 11)  # too high by what came and went meanwhile


@on_redis
async def test_a_recount_that_was_overtaken(storage: Storage) -> None:
    """If another recount has begun meanwhile, the first one changes nothing."""
    assert isinstance(storage, RedisStorage)
    storage.limit(acme_alone)
    inspection: Any = storage.inspection
    key_of = [Key("conversation", "acme", f"c{i}") for i in range(5)]
    for each in key_of[:2]:
        await storage.write(Write(each, b"xx", 60_000))
    scan = inspection._client.scan_all

    async def overtaken(pattern: str, count: int) -> AsyncGenerator[Any, None]:
        async for names in scan(pattern, count):
            yield names
        for each in key_of[2:]:
            await storage.write(Write(each, b"xx", 60_000))
        await asyncio.sleep(0.002)  # the turn of the first one is over
        await recounts.Recount(
            scan, inspection._run, inspection._prefix, storage.partitions, 0.001
        ).run(acme_alone)

    first: Any = recounts.Recount(
        overtaken, inspection._run, inspection._prefix, storage.partitions, 0.001
    )
    await first.run(acme_alone)
    assert await storage.inspection.held("acme") == Held(5, 10)


@on_redis
async def test_one_server_has_the_turn(
    storage: Storage, settings: Settings, redis: RedisClient
) -> None:
    """Within the interval, no second server recounts."""
    async with limited(storage, settings, entries=9) as stub:
        await put(stub, key())
        await storage.inspection.recount(storage.limits_of, 60)
        redis("DEL", *records(redis, settings, "entry"))
        await storage.inspection.recount(storage.limits_of, 60)
        assert (await storage.inspection.held("acme")).entries == 1


@on_redis
async def test_a_long_recount_keeps_its_turn(
    storage: Storage, settings: Settings, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recount that takes longer than its turn has the turn until its end."""
    times = itertools.count(0, 50)
    monkeypatch.setattr(recounts, "monotonic", lambda: next(times))
    monkeypatch.setattr(recounts, "_REST", 0)
    inspection: Any = storage.inspection
    turn = f"{settings.store_prefix}:recount"
    left: list[int] = []

    async def slow(*_: object) -> AsyncGenerator[Any, None]:
        for _step in range(3):
            redis("PEXPIRE", turn, 1000)
            yield []
            left.append(redis("PTTL", turn))

    recount = recounts.Recount(slow, inspection._run, settings.store_prefix, 4, 60)
    await recount.run(acme_alone)
    assert all(59_000 < each <= 60_000 for each in left)
    other = recounts.Recount(slow, inspection._run, settings.store_prefix, 4, 60)
    await other.run(acme_alone)
    assert len(left) == 3


@on_redis
async def test_a_server_recounts_regularly(settings: Settings) -> None:
    """A running server gives room for what has expired, and for a quota that was set meanwhile."""
    quotas = Quotas.model_validate(
        {"tenants": [{"pattern": "acme", "entries": 1}], "recount_interval": 0.1}
    )
    async with (
        Server(settings.model_copy(update={"quotas": quotas})) as server,
        stub_of(server.address) as stub,
    ):
        await put(stub, key("c0"), ttl=seconds(0.05))
        assert_over(await failure_of(put(stub, key("c1"))), "entries", 1)

        async def has_room() -> bool:
            try:
                await put(stub, key("c1"))
            except Exception:  # noqa: BLE001
                return False
            return True

        await until_async(has_room)
        assert (await get(stub, key("c1"))).entry.version


async def test_a_recount_that_fails(caplog: pytest.LogCaptureFixture, redis_url: str) -> None:
    """A recount that Redis refuses is one warning in the log, and the server goes on."""
    with RedisClient(redis_url) as redis:
        user = ("ACL", "SETUSER", "uncounting", "on", ">pw", "~*", "+@all", "-hscan")
        redis(*user)
        quotas = Quotas.model_validate({"default": {"entries": 10}})
        url = redis_url.replace("://", "://uncounting:pw@")
        settings = settings_on(url, store_prefix="uncounted", quotas=quotas)
        try:
            async with Server(settings) as server, stub_of(server.address) as stub:
                await put(stub, key())
                await until_async(lambda: "quotas.uncounted" in caplog.text)
                await put(stub, key())
        finally:
            redis("ACL", "DELUSER", "uncounting")
            redis.forget("uncounted")
