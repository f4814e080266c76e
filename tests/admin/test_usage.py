"""GetUsage and ListTopTenants: what tenants have stored, and what the server did for them."""

import asyncio
from collections import Counter

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from relevo.admin.v1.admin_pb2 import (
    GetUsageRequest,
    GetUsageResponse,
    ListTopTenantsRequest,
    TenantActivity,
    TopOrder,
)
from relevo.v1.store_pb2 import Consistency, LeaseRequest
from relevo_server.keys import Key, partition_of
from relevo_server.service.activity import BYTES, CALLS, MISSES, Activity
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.storage.interface import LeaseAttempt, Leased, Write
from relevo_server.storage.memory import MemoryStorage
from relevo_server.wire.requests import Lease
from support.clients.admin import AdminStub
from support.clients.calls import (
    TIMEOUT,
    Stub,
    batch_get,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
)
from support.contexts import of_size
from support.failures import failure_of
from support.redis.client import RedisClient


async def usage_of(admin: AdminStub, tenant: str) -> GetUsageResponse:
    """What a tenant uses."""
    return await admin.GetUsage(GetUsageRequest(tenant_id=tenant), timeout=TIMEOUT)


async def test_what_is_stored(admin: AdminStub, stub: Stub) -> None:
    """Live entries and their bytes are counted by scope, of the one tenant."""
    await asyncio.gather(*(put(stub, key(f"c{i}"), of_size(200 + i)) for i in range(300)))
    await put(stub, key(scope="agent_config"), of_size(5000))
    await put(stub, key(tenant="acme2"), of_size(7000))
    await invalidate(stub, key("c299"))
    usage = await usage_of(admin, "acme")
    assert [(each.scope, each.entries, each.bytes) for each in usage.scopes] == [
        ("agent_config", 1, 5000),
        ("conversation", 299, sum(200 + i for i in range(299))),
    ]
    await invalidate_tenant(stub, "acme", "conversation")
    usage = await usage_of(admin, "acme")
    assert [each.scope for each in usage.scopes] == ["agent_config"]
    assert list((await usage_of(admin, "nobody")).scopes) == []
    await invalidate_tenant(stub, "acme")
    assert list((await usage_of(admin, "acme")).scopes) == []


async def test_what_is_stored_under_special_names(admin: AdminStub, stub: Stub) -> None:
    """A tenant's name is no pattern, and a scope is named as its writer wrote it."""
    tenants = ["*", "a*c", "a:c", "%2A", "{abc}", "ü"]
    for tenant in tenants:
        for scope in tenants:
            await put(stub, key(tenant=tenant, scope=scope), of_size(200))
    for tenant in tenants:
        scopes = (await usage_of(admin, tenant)).scopes
        assert [(each.scope, each.entries, each.bytes) for each in scopes] == [
            (scope, 1, 200) for scope in sorted(tenants)
        ]


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_records_that_are_no_entries(
    admin: AdminStub, stub: Stub, settings: Settings, redis: RedisClient
) -> None:
    """A foreign record counts nothing, and entries beside it are counted (S8)."""
    await put(stub, key(), of_size(300))
    prefix = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}:entry:"
    not_text = prefix.encode() + b"conversation:acme:\xff"
    redis("HSET", not_text, "version", "1-0", "created", "1-0")
    redis("SET", prefix + "conversation:acme:text", "x")
    redis("HSET", prefix + "conversation:acme:broken", "version", "x", "created", "y")
    redis("HSET", prefix + "conversation:acme:part", "version", "1-0")
    usage = await usage_of(admin, "acme")
    assert [(each.entries, each.bytes) for each in usage.scopes] == [(1, 300)]
    redis("DEL", not_text)


async def test_many_scopes(admin: AdminStub, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scopes beyond the limit are together one, without a name."""
    monkeypatch.setattr("relevo_server.service.admin.usage._MAX_SCOPES", 3)
    for i in range(10):
        await put(stub, key(scope=f"s{i}"))
    usage = await usage_of(admin, "acme")
    assert len(usage.scopes) == 4
    assert (usage.scopes[0].scope, usage.scopes[0].entries) == ("", 7)


async def test_what_was_done(admin: AdminStub, stub: Stub) -> None:
    """Calls, bytes of contexts in and out, and misses are counted for the tenant."""
    await put(stub, key(), of_size(1000))  # 1 call, 1,000 bytes
    version = (await get(stub, key())).entry.version  # 1, 1,000
    cached = Consistency.CONSISTENCY_CACHED
    await get(stub, key(), consistency=cached)  # 1, 1,000
    await get(stub, key(), known_version=version)  # 1, none
    await batch_get(stub, key(), key("none"))  # 2, 1,000, 1 miss
    assert not await is_alive(stub, key("none"))  # 1, 1 miss
    await stub.Lease(LeaseRequest(key=key(), wait=Duration()), timeout=TIMEOUT)  # 1, 1,000
    await invalidate(stub, key("c9"))  # 1
    await put(stub, key(tenant="globex"), of_size(100))
    assert (await usage_of(admin, "acme")).activity == TenantActivity(
        tenant_id="acme", calls=9, bytes=5000, misses=2
    )
    assert (await usage_of(admin, "nobody")).activity == TenantActivity(tenant_id="nobody")


async def test_masks_and_layers(admin: AdminStub, stub: Stub) -> None:
    """Of a masked Put the sent part counts, and of a Get with layers all contexts."""
    layer, head = of_size(2000), of_size(300)
    await put(stub, key("l", scope="agent_config"), layer)
    head.includes.append(key("l", scope="agent_config"))
    size = head.ByteSize()
    await put(stub, key(), head)
    await put(stub, key(), head, update_mask=masked("user_id"))
    before = (await usage_of(admin, "acme")).activity.bytes
    assert before == 2000 + 2 * size
    answer = await get(stub, key(), include_layers=True)
    assert len(answer.layers) == 1
    after = (await usage_of(admin, "acme")).activity.bytes
    assert abs(after - before - 2000 - size) < 10


async def test_a_tenant_that_is_dropped_during_a_lease() -> None:
    """The bytes of a Lease count, even if so many tenants came meanwhile that its own was dropped.

    The new row of the tenant counts them.
    """
    named, size = Key("conversation", "acme", "c1"), 1000

    class Busy(MemoryStorage):
        async def lease(self, attempt: LeaseAttempt) -> Leased:
            for i in range(10_000):
                store.parts.activity.of(f"stranger-{i}")[CALLS] += 2
            assert not any(store.parts.activity.counts("acme"))
            return await super().lease(attempt)

    storage = Busy(4, log_length=10, request_ttl_ms=1000)
    await storage.write(Write(named, of_size(size).SerializeToString(), 60_000))
    store = ContextStore(storage, Settings())
    await store.Lease(Lease(named, wait=0, renew_version=0, request_id=""))
    assert store.parts.activity.counts("acme")[BYTES] == size


async def test_the_top(admin: AdminStub, stub: Stub) -> None:
    """Tenants are ordered by calls, bytes or misses, the greatest first."""
    for tenant, calls in (("few", 2), ("many", 5), ("some", 3)):
        for _ in range(calls):
            await put(stub, key(tenant=tenant))
    await put(stub, key(tenant="large"), of_size(9000))
    assert not await is_alive(stub, key("none", tenant="misses"))

    async def top(order: "TopOrder", size: int = 0) -> list[str]:
        request = ListTopTenantsRequest(order_by=order, page_size=size)
        response = await admin.ListTopTenants(request, timeout=TIMEOUT)
        assert response.error == 0
        return [each.tenant_id for each in response.tenants]

    assert (await top(TopOrder.TOP_ORDER_CALLS))[:3] == ["many", "some", "few"]
    assert (await top(TopOrder.TOP_ORDER_UNSPECIFIED, 1)) == ["many"]
    assert (await top(TopOrder.TOP_ORDER_BYTES))[0] == "large"
    assert await top(TopOrder.TOP_ORDER_MISSES) == ["misses"]


async def test_malformed(admin: AdminStub) -> None:
    """Each broken rule is named by its field."""
    unknown = ListTopTenantsRequest.FromString(b"\x08\x63")
    for request, fields in (
        (unknown, ["order_by"]),
        (ListTopTenantsRequest(page_size=101), ["page_size"]),
        (ListTopTenantsRequest(page_size=-1), ["page_size"]),
    ):
        failure = await failure_of(admin.ListTopTenants(request, timeout=TIMEOUT))
        assert (failure.reason, failure.fields) == ("INVALID_FIELD", fields)
    failure = await failure_of(admin.GetUsage(GetUsageRequest(), timeout=TIMEOUT))
    assert failure.fields == ["tenant_id"]


events = st.tuples(st.integers(0, 60), st.sampled_from([CALLS, BYTES, MISSES]), st.integers(1, 50))


@given(st.lists(events, min_size=60, max_size=300))
def test_bounded_counts(stream: list[tuple[int, int, int]]) -> None:
    """With any stream of events: counts are bounded in number, none too low, none too high by more
    than the error; and every tenant with more than the error is there.
    """  # noqa: D205
    activity = Activity(kept=3)
    true = [Counter[str]() for _ in range(3)]
    for tenant, figure, more in stream:
        activity.of(str(tenant))[figure] += more
        true[figure][str(tenant)] += more
        for each in (CALLS, BYTES, MISSES):
            error = activity.error(each)
            top = dict(activity.top(each, 100))
            assert len(top) <= 18
            for name, counts in top.items():
                assert true[each][name] <= counts[each] <= true[each][name] + error
            assert {name for name, count in true[each].items() if count > error} <= set(top)


def test_a_frequent_tenant_stays() -> None:
    """However many strangers come and go, a tenant with many calls is the first, nearly exact."""
    activity = Activity(kept=10)
    for i in range(20_000):
        activity.of(f"stranger-{i}")[CALLS] += 1
        if i % 10 == 0:
            activity.of("regular")[CALLS] += 1
    (first,) = activity.top(CALLS, 1)
    assert first.tenant_id == "regular"
    assert 2000 <= first.counts[CALLS] <= 2000 + activity.error(CALLS)
    assert activity.error(CALLS) <= 20_000 / 10
