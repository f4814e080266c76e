"""Shares: what one tenant, or one principal, may use of a server; others do not notice."""

import asyncio
import gc
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    PutRequest,
    SnapshotRequest,
)
from relevo_server.errors import RETRY_DELAY
from relevo_server.quotas import Quotas
from relevo_server.service.shares import Shares, TenantShare
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.telemetry.counts import Counts
from support.clients.access import bearer, principal
from support.clients.calls import (
    TIMEOUT,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    key,
    masked,
    put,
)
from support.clients.leasing import lease
from support.contexts import of_size
from support.failures import Failure, failure_in, failure_of
from support.servers.serving import serving_from, serving_service
from support.servers.storages import GatedStorage
from support.waiting import until_async

FOREIGN = key(tenant="globex")


def settings_of(*, of_tenants: Mapping[str, Any] | None = None, **quotas: Any) -> Settings:
    """Settings with these quotas for `acme`, and with `of_tenants` for all others."""
    own = {"pattern": "acme", **quotas}
    return Settings(quotas=Quotas.model_validate({"default": of_tenants or {}, "tenants": [own]}))


def assert_over(failure: Failure, quota: str, limit: str) -> None:
    """See that a call ended because this quota of acme's is used up."""
    assert (failure.code, failure.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert failure.metadata == {"tenant_id": "acme", "quota": quota, "limit": limit}
    assert failure.retry_after is not None
    assert failure.retry_after > 0


async def _answer(call: Awaitable[Any]) -> Any:
    return await call


def started(*calls: Awaitable[Any]) -> list[asyncio.Task[Any]]:
    """The calls, as tasks."""
    return [asyncio.create_task(_answer(call)) for call in calls]


async def test_calls_in_flight() -> None:
    """Over its share of calls a tenant is refused at once, and only that tenant.

    The others work meanwhile, and the calls in flight are answered.
    """
    storage = GatedStorage()
    async with serving_from(storage, settings_of(calls=2)) as stub:
        await put(stub, key())
        await put(stub, FOREIGN)
        storage.gate.clear()
        working = started(get(stub, key()), get(stub, key()))
        await until_async(lambda: storage.waiting == 2)
        for call in (get(stub, key()), put(stub, key("c2")), lease(stub, key("c3"))):
            assert_over(await failure_of(call), "calls", "2")
        working += started(*(get(stub, FOREIGN) for _ in range(20)))
        await until_async(lambda: storage.waiting == 22)
        storage.gate.set()
        assert len(await asyncio.gather(*working)) == 22
        for _ in range(5):
            await get(stub, key())


async def test_calls_that_end_badly_free_their_place() -> None:
    """Calls that fail, are refused or are cancelled are not counted for ever."""
    storage = GatedStorage()
    async with serving_from(storage, settings_of(calls=1)) as stub:
        await put(stub, key())
        for _ in range(3):
            assert (await failure_of(get(stub, key("none")))).reason == "NO_ENTRY"
            assert (await failure_of(get(stub, key("")))).reason == "INVALID_FIELD"
            storage.gate.clear()
            (call,) = started(get(stub, key()))
            await until_async(lambda: storage.waiting)
            assert_over(await failure_of(get(stub, key())), "calls", "1")
            call.cancel()
            await until_async(lambda: not storage.waiting)
            storage.gate.set()
        await get(stub, key())


async def test_a_batch_of_several_tenants() -> None:
    """A BatchGet is one call of each of its tenants; over its share, only a tenant's own fail."""
    storage = GatedStorage()
    async with serving_from(storage, settings_of(calls=1)) as stub:
        await put(stub, key())
        await put(stub, FOREIGN)
        mixed = [key(), FOREIGN, key(), key("none", tenant="globex")]
        found = await batch_get(stub, *mixed)
        assert [each.HasField("response") for each in found] == [True, True, True, False]
        storage.gate.clear()
        (working,) = started(get(stub, key()))
        await until_async(lambda: storage.waiting)
        (batch,) = started(batch_get(stub, *mixed))
        await until_async(lambda: storage.waiting == 3)  # with the two of globex
        storage.gate.set()
        await working
        first, second, third, fourth = await batch
        assert_over(failure_in(first.error), "calls", "1")
        assert second.HasField("response")
        assert_over(failure_in(third.error), "calls", "1")
        assert failure_in(fourth.error).reason == "NO_ENTRY"
        await get(stub, key())


async def test_an_invalidate_gets_through() -> None:
    """An Invalidate is answered while the tenant, and the server, have no room for other calls."""
    storage = GatedStorage()
    quotas = Quotas.model_validate({"default": {"calls": 2}})
    async with serving_from(storage, Settings(max_concurrent_calls=3, quotas=quotas)) as stub:
        for each in (key(), FOREIGN):
            await put(stub, each)
        storage.gate.clear()
        working = started(get(stub, key()), get(stub, key()), get(stub, FOREIGN))
        await until_async(lambda: storage.waiting == 3)
        assert (await failure_of(get(stub, FOREIGN))).reason == "TOO_MANY_REQUESTS"
        assert (await invalidate(stub, key())).invalidated_count == 1
        await invalidate_tenant(stub, "globex")
        storage.gate.set()
        assert {(await failure_of(each)).reason for each in working} == {"NO_ENTRY"}


async def test_writes_a_second() -> None:
    """Puts beyond the burst are refused, masked ones too; RetryInfo says when there is room."""
    storage = GatedStorage()
    async with serving_from(storage, settings_of(writes=0.1, writes_burst=3)) as stub:
        for _ in range(2):
            await put(stub, key())
        await put(stub, key(), context(user_id="u"), update_mask=masked("user_id"))
        for rest in ({}, {"update_mask": masked("user_id")}):
            failure = await failure_of(put(stub, key(), context(user_id="v"), **rest))
            assert_over(failure, "writes", "0.1")
            assert failure.retry_after is not None
            assert 9 < failure.retry_after <= 15
        assert (await get(stub, key())).entry.context.user_id == "u"
        assert (await invalidate(stub, key())).invalidated_count == 1
        for _ in range(20):
            await put(stub, FOREIGN)


async def test_refused_callers_do_not_come_back_together() -> None:
    """RetryInfo tells each refused caller to wait a little longer, up to half as long again."""
    async with serving_from(GatedStorage(), settings_of(lease_waits=0)) as stub:
        await lease(stub)
        refused = await asyncio.gather(*(failure_of(lease(stub, wait=1)) for _ in range(20)))
    delays = [failure.retry_after or 0 for failure in refused]
    assert all(RETRY_DELAY <= delay <= 1.5 * RETRY_DELAY for delay in delays)
    assert max(delays) - min(delays) > RETRY_DELAY / 10


async def test_invalidations_a_second() -> None:
    """Each key counts, and a tenant as one; one Invalidate passes, however many keys it has."""
    settings = settings_of(invalidations=0.1, invalidations_burst=4, writes=0)
    async with serving_from(GatedStorage(), settings) as stub:
        await invalidate(stub, key("c1"), key("c2"))
        await invalidate_tenant(stub, "acme", "agent_config")
        assert_over(await failure_of(invalidate(stub, key(), key("c2"))), "invalidations", "0.1")
        await invalidate(stub, key())
        assert_over(await failure_of(invalidate_tenant(stub, "acme")), "invalidations", "0.1")
        for _ in range(10):
            await invalidate(stub, FOREIGN, key("c2", tenant="globex"))
    async with serving_from(GatedStorage(), settings) as stub:
        await invalidate(stub, *(key(f"c{i}") for i in range(100)))
        failure = await failure_of(invalidate(stub, key()))
        assert_over(failure, "invalidations", "0.1")
        assert failure.retry_after == 60  # a minute at most


async def test_nothing_at_all() -> None:
    """A limit of 0 leaves nothing to a tenant."""
    async with serving_from(GatedStorage(), settings_of(calls=0, writes=0)) as stub:
        assert_over(await failure_of(get(stub, key())), "calls", "0")
    async with serving_from(GatedStorage(), settings_of(writes=0)) as stub:
        assert_over(await failure_of(put(stub, key())), "writes", "0")
        snapshot = stub.Snapshot(SnapshotRequest(key=key()), timeout=TIMEOUT)
        assert_over(await failure_of(snapshot), "writes", "0")
        await put(stub, FOREIGN)


async def test_waiting_for_leases() -> None:
    """So many calls of a tenant may wait for leases; the next is refused, and others may wait."""
    service = ContextStore(GatedStorage(), settings_of(lease_waits=2))
    waiters = service.figures()["relevo.server.lease.waiters"]
    async with serving_service(service) as stub:
        tokens = {tenant: (await lease(stub, key(tenant=tenant))).lease.token for tenant in TWO}
        waiting = started(lease(stub, wait=15), lease(stub, wait=15))
        foreign = started(*(lease(stub, FOREIGN, wait=15) for _ in range(3)))
        await until_async(lambda: waiters() == 5)
        assert_over(await failure_of(lease(stub, wait=15)), "lease_waits", "2")
        assert (await failure_of(lease(stub))).reason == "LEASE_HELD"  # it does not wait
        for tenant, token in tokens.items():
            await put(stub, key(tenant=tenant), lease_token=token)
        answers = await asyncio.gather(*waiting, *foreign)
        assert [answer.HasField("entry") for answer in answers] == [True] * 5


TWO = ("acme", "globex")


async def test_the_first_pattern_decides() -> None:
    """The first entry whose pattern matches has a tenant's limits; what it lacks is the default's.

    In a pattern, `*` stands for any characters and all others for themselves.
    """
    quotas = Quotas.model_validate(
        {
            "default": {"calls": 7, "writes": 10},
            "tenants": [
                {"pattern": "acme-[1]*", "calls": 1},
                {"pattern": "acme-*", "calls": 2, "writes": 3.5},
                {"pattern": "*-test", "calls": "unlimited", "writes_burst": 6},
            ],
        }
    )

    def of(tenant_id: str) -> tuple[float, float, float]:
        limits = quotas.of_tenant(tenant_id, 4096)
        return limits.calls, limits.writes, limits.writes_burst

    assert of("acme-[1]\n2") == (1, 10, 50)
    assert of("acme-1") == (2, 3.5, 17.5)
    assert of("acme-test") == (2, 3.5, 17.5)
    assert of("globex-test") == (float("inf"), 10, 6)
    assert of("acme") == (7, 10, 50)
    defaults = Quotas().of_tenant("acme", 4096)
    assert (defaults.calls, defaults.lease_waits, defaults.writes_burst) == (2048, 1024, 5000)
    assert not defaults.are_stored
    small = Quotas().of_tenant("acme", 100)
    assert (small.calls, small.lease_waits) == (64, 64)
    assert Quotas().of_tenant("acme", 3).calls == 3


async def test_other_limits_while_calls_are_in_flight() -> None:
    """New limits hold for the next call; what is in flight is answered, and counts on."""
    storage = GatedStorage()
    service = ContextStore(storage, settings_of(calls=3))
    async with serving_service(service) as stub:
        await put(stub, key())
        storage.gate.clear()
        working = started(*(get(stub, key()) for _ in range(3)))
        await until_async(lambda: storage.waiting == 3)
        service.update_quotas(settings_of(calls=2).quotas)
        assert_over(await failure_of(get(stub, key())), "calls", "2")
        service.update_quotas(settings_of(calls=5).quotas)
        working += started(get(stub, key()), get(stub, key()))
        await until_async(lambda: storage.waiting == 5)
        assert_over(await failure_of(get(stub, key())), "calls", "5")
        storage.gate.set()
        assert len(await asyncio.gather(*working)) == 5


def over_principal(failure: Failure, name: str, quota: str, limit: str) -> bool:
    """Whether a call ended because this quota of the principal is used up."""
    assert failure.code is StatusCode.RESOURCE_EXHAUSTED
    metadata = {"principal": name, "quota": quota, "limit": limit}
    return failure.reason == "QUOTA_EXCEEDED" and failure.metadata == metadata


async def test_calls_and_bytes_of_a_principal() -> None:
    """Over its calls or bytes in flight a principal is refused.

    Its Invalidates, and the calls of other principals, are answered.
    """
    storage = GatedStorage()
    limits = {"calls": 3, "bytes": 10_000}
    settings = Settings(
        principals=(principal("one", "*"), principal("two", "*")),
        quotas=Quotas.model_validate({"principal": limits}),
    )
    one, two = bearer("one"), bearer("two")
    async with serving_from(storage, settings) as stub:
        large = PutRequest(key=key(), context=of_size(20_000))
        await stub.Put(large, metadata=one, timeout=TIMEOUT)  # one is admitted, whatever its size
        storage.gate.clear()
        large.update_mask.paths.append("user_id")
        (first,) = started(stub.Put(large, metadata=one, timeout=TIMEOUT))
        await until_async(lambda: storage.waiting == 1)
        small = GetRequest(key=key())
        failure = await failure_of(stub.Get(small, metadata=one, timeout=TIMEOUT))
        assert over_principal(failure, "one", "principal_bytes", "10000")
        storage.gate.set()
        await first
        storage.gate.clear()
        working = started(*(stub.Get(small, metadata=one, timeout=TIMEOUT) for _ in range(3)))
        await until_async(lambda: storage.waiting == 3)
        failure = await failure_of(stub.Get(small, metadata=one, timeout=TIMEOUT))
        assert over_principal(failure, "one", "principal_calls", "3")
        working += started(stub.Get(small, metadata=two, timeout=TIMEOUT))
        await until_async(lambda: storage.waiting == 4)
        named = ContextKeys(keys=[key("none")])
        ending = InvalidateRequest(keys=named)
        await stub.Invalidate(ending, metadata=one, timeout=TIMEOUT)
        batch = BatchGetRequest(requests=[small])
        working += started(stub.BatchGet(batch, metadata=two, timeout=TIMEOUT))
        await until_async(lambda: storage.waiting == 5)
        storage.gate.set()
        await asyncio.gather(*working)


def test_tenants_that_use_nothing_are_forgotten() -> None:
    """However many tenants come and go, the server remembers only some of those that are idle."""
    now = 0.0
    shares = Shares(Quotas(), 4096, Counts(), clock=lambda: now)
    shares.admit_call("busy").used += 1
    for i in range(20_000):
        shares.admit_put(f"tenant-{i}")
        now += 1.0
    remembered = [each for each in gc.get_objects() if isinstance(each, TenantShare)]
    assert len(remembered) < 5000
    assert "busy" in {each.tenant_id for each in remembered}


@pytest.mark.parametrize("wrong", [{"calls": -1}, {"calls": "many"}, {"entries": 1.5}])
def test_a_wrong_limit_is_named(wrong: Mapping[str, Any]) -> None:
    """A limit that is no number is refused by its name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Quotas.model_validate({"default": wrong})
