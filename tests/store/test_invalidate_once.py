"""An Invalidate repeated with its `request_id` is the same Invalidate."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import pytest
from grpc import StatusCode, aio
from pydantic import SecretStr
from relevo.v1.store_pb2 import (
    ContextKeys,
    InvalidateRequest,
    InvalidateResponse,
    LeaseRequest,
    TenantSelector,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.calls import (
    TIMEOUT,
    Stub,
    context,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
)
from support.failures import failure_of
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.cluster import RedisCluster
from support.servers.serving import serving, stub_of
from support.waiting import until_async

End: TypeAlias = "Callable[[Stub], Awaitable[InvalidateResponse]]"

ENDS: dict[str, End] = {
    "keys": lambda stub: invalidate(stub, key("c1"), key("c2"), request_id="r"),
    "a tenant": lambda stub: invalidate_tenant(stub, "acme", request_id="r"),
    "a scope": lambda stub: invalidate_tenant(stub, "acme", "conversation", request_id="r"),
}


@pytest.fixture(params=list(ENDS))
def end(request: pytest.FixtureRequest) -> End:
    """Each way to end the entries of these tests, with a request_id."""
    return ENDS[request.param]


async def test_a_repeat_is_answered_as_the_first(stub: Stub, end: End) -> None:
    """A repeated Invalidate gets the first one's answer, and spares entries put in between."""
    await put(stub, key("c1"))
    first = await end(stub)
    later = await put(stub, key("c1"))
    assert await end(stub) == first
    assert await is_alive(stub, key("c1"))
    assert later.revision > first.revision


async def test_the_count_is_the_first_one(stub: Stub) -> None:
    """Each repetition returns the first call's `invalidated_count`."""
    await put(stub, key("c1"))
    counts = [
        (await invalidate(stub, key("c1"), key("c2"), request_id="r")).invalidated_count
        for _ in range(3)
    ]
    assert counts == [1, 1, 1]


async def test_a_repeat_is_no_event(storage: Storage, storage_stub: Stub, end: End) -> None:
    """An Invalidate has one event, however often it is repeated."""
    await end(storage_stub)
    partition = storage.partition_of("acme")
    events = (await storage.tail(partition, 0, 10)).events
    await end(storage_stub)
    assert (await storage.tail(partition, 0, 10)).events == events


async def test_a_repeat_voids_no_lease(stub: Stub, end: End) -> None:
    """A lease that was granted after the first Invalidate is still held after its repetition."""
    await end(stub)
    lease = (await stub.Lease(LeaseRequest(key=key("c1")), timeout=TIMEOUT)).lease
    await end(stub)
    await put(stub, key("c1"), lease_token=lease.token)


OTHERS: dict[str, End] = {
    "other keys": lambda stub: invalidate(stub, key("c1"), request_id="r"),
    "keys in another order": lambda stub: invalidate(stub, key("c2"), key("c1"), request_id="r"),
    "another scope": lambda stub: invalidate_tenant(stub, "acme", "agent_config", request_id="r"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_another_cannot_have_its_id(stub: Stub, end: End, other: End) -> None:
    """A request_id that a different Invalidate of the tenant had is refused, and no entry ends."""
    await end(stub)
    for each in ("c1", "c2"):
        await put(stub, key(each))
    failure = await failure_of(other(stub))
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert failure.fields == ["request_id"]
    assert failure.metadata == {"tenant_id": "acme"}
    assert await is_alive(stub, key("c1"))


async def test_ids_belong_to_tenants_and_calls(stub: Stub) -> None:
    """The same request_id of another tenant, or of a Put, belongs to another request."""
    await put(stub, key("c1"), request_id="r")
    await put(stub, key("c1", tenant="globex"), request_id="r")
    await invalidate_tenant(stub, "globex", request_id="r")
    assert await is_alive(stub, key("c1"))
    await invalidate(stub, key("c1"), request_id="r")
    assert not await is_alive(stub, key("c1"))
    await put(stub, key("c1"), request_id="r")  # a copy of the first one, which writes nothing
    assert not await is_alive(stub, key("c1"))


@pytest.mark.parametrize("id", ["a:b", "a%3Ab", " ", "日本語", "x" * 128, "é" * 64])
@pytest.mark.parametrize("tenant", ["acme", "a:b", "größe%"])
async def test_any_text_is_an_id(stub: Stub, tenant: str, id: str) -> None:  # noqa: A002 - the field's name
    """Up to 128 bytes of any text identify the Invalidates of any tenant."""
    first = await invalidate_tenant(stub, tenant, request_id=id)
    assert (await invalidate_tenant(stub, tenant, request_id=id)).revision == first.revision
    other = await invalidate_tenant(stub, tenant, request_id=f"{id[1:]}!")
    assert other.revision > first.revision


async def test_without_an_id_each_is_another(stub: Stub) -> None:
    """Without a request_id, each Invalidate ends the entries that then exist."""
    first = await invalidate(stub, key())
    await put(stub, key())
    again = await invalidate(stub, key())
    assert (again.invalidated_count, again.revision > first.revision) == (1, True)
    assert not await is_alive(stub, key())


async def test_it_is_forgotten_in_the_end(settings: Settings, end: End) -> None:
    """After `request_id_ttl` the same request_id is a new Invalidate."""
    async with serving(settings.model_copy(update={"request_id_ttl": 0.05})) as stub:
        first = await end(stub)

        async def forgotten() -> bool:
            return (await end(stub)).revision > first.revision

        await until_async(forgotten)


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """A proxy between a server and Redis."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with Proxy(port) as proxy:
        yield proxy


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_lost_answer(proxy: Proxy, redis_url: str, settings: Settings, end: End) -> None:
    """If a server loses Redis's answer, the repetition on another server ends nothing more."""
    through = f"redis://127.0.0.1:{proxy.port}/0"
    one = settings.model_copy(update={"store": SecretStr(through), "store_timeout": 0.5})
    other = settings.model_copy(update={"store": SecretStr(redis_url)})
    async with Server(one) as server, serving(other) as elsewhere, stub_of(server.address) as stub:
        # The scripts are loaded before, else the lost answer is that Redis does not know them.
        await invalidate(elsewhere, key("c1", tenant="globex"))
        await invalidate_tenant(elsewhere, "globex")
        await put(elsewhere, key("c1"))
        proxy.to_client.swallow = True
        with pytest.raises(aio.AioRpcError) as caught:
            await end(stub)
        assert caught.value.code() is StatusCode.UNAVAILABLE
        assert not await is_alive(elsewhere, key("c1"))
        version = (await put(elsewhere, key("c1"), context(user_id="in between"))).revision
        proxy.to_client.swallow = False
        proxy.cut()
        repeated = await end(elsewhere)
        assert repeated.revision < version
        assert await is_alive(elsewhere, key("c1"))


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
@pytest.mark.parametrize("count", [1, 2, 100])
async def test_on_a_cluster(redis_cluster: RedisCluster, settings: Settings, count: int) -> None:
    """The record of a request shares the slot of its keys, so that a Redis Cluster accepts both."""
    keys = [key(f"c{i}") for i in range(count)]
    requests = [
        InvalidateRequest(keys=ContextKeys(keys=keys), request_id="r1"),
        InvalidateRequest(tenant=TenantSelector(tenant_id="acme"), request_id="r2"),
    ]
    there = settings.model_copy(update={"store": SecretStr(redis_cluster.url)})
    async with serving(there) as stub:
        for request in requests:
            await put(stub, keys[0])
            first = await stub.Invalidate(request, timeout=TIMEOUT)
            await put(stub, keys[0])
            assert await stub.Invalidate(request, timeout=TIMEOUT) == first
            assert await is_alive(stub, keys[0])


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_records_end(redis_url: str, settings: Settings, end: End) -> None:
    """The records of requests have a time to live, as entries have."""
    there = settings.model_copy(update={"store": SecretStr(redis_url)})
    async with serving(there) as stub:
        await end(stub)
        with RedisClient(redis_url) as redis:
            names = [name for name in redis.names(settings.store_prefix) if ":request:" in name]
            assert len(names) == 1
            assert 0 < redis("PTTL", names[0]) <= 600_000
