"""ListKeys: the live keys of one tenant, in pages, without a value."""

import asyncio
from collections import Counter

import pytest
from relevo.admin.v1.admin_pb2 import ListKeysRequest
from relevo.v1.context_pb2 import ContextKey
from relevo_server.keys import Key, partition_of
from relevo_server.settings import Settings
from relevo_server.storage.interface import Write
from relevo_server.storage.memory import MemoryStorage
from relevo_server.wire.requests.admin.pages import token_of
from support.clients.admin import AdminStub, all_keys
from support.clients.calls import (
    TIMEOUT,
    Stub,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
    seconds,
)
from support.contexts import of_size
from support.failures import failure_of
from support.redis.client import RedisClient
from support.waiting import until_async


def named(keys: list[ContextKey]) -> set[tuple[str, str]]:
    """The scope and id of each key; none may be there twice."""
    found = [(each.scope, each.id) for each in keys]
    assert len(found) == len(set(found))
    return set(found)


async def listed(admin: AdminStub, tenant: str = "acme", scope: str = "") -> set[tuple[str, str]]:
    """The scope and id of each key of a tenant."""
    infos = await all_keys(admin, tenant, scope)
    assert {each.key.tenant_id for each in infos} <= {tenant}
    return named([each.key for each in infos])


async def test_a_key(admin: AdminStub, stub: Stub) -> None:
    """A key is listed with its entry's version, time to live and size."""
    written = await put(stub, key(), of_size(5000), ttl=seconds(100))
    (info,) = await all_keys(admin, "acme")
    assert info.key == key()
    assert info.version == written.revision
    assert 90_000 < info.ttl.ToMilliseconds() <= 100_000
    assert info.size_bytes == 5000


async def test_scopes(admin: AdminStub, stub: Stub) -> None:
    """A scope selects its own keys; without one, all of the tenant's are listed."""
    for scope in ("conversation", "agent_config", "conversation2"):
        await put(stub, key(scope=scope))
    await put(stub, key(tenant="globex"))
    everything = {(scope, "c1") for scope in ("conversation", "agent_config", "conversation2")}
    assert await listed(admin) == everything
    assert await listed(admin, scope="conversation") == {("conversation", "c1")}
    assert await listed(admin, scope="snapshot") == set()
    assert await listed(admin, "nobody") == set()


async def test_only_live_entries(admin: AdminStub, stub: Stub) -> None:
    """Entries that have expired, were invalidated or are below a floor are not listed."""
    for each in ("lives", "ends"):
        await put(stub, key(each))
    await put(stub, key("expires"), ttl=seconds(0.05))
    await put(stub, key("floored", scope="agent_config"))
    await invalidate(stub, key("ends"))
    await invalidate_tenant(stub, "acme", "agent_config")

    async def has_expired() -> bool:
        return not await is_alive(stub, key("expires"))

    await until_async(has_expired)
    assert await listed(admin) == {("conversation", "lives")}
    await invalidate_tenant(stub, "acme")
    assert await listed(admin) == set()


TENANTS = ["*", "?", "[a-z]", "\\", "\\*", "a*c", "a?c", "a[b]c", "a\\c", "abc", "a:c", "%2A"]


async def test_names_with_special_characters(admin: AdminStub, stub: Stub) -> None:
    """A tenant's name is no pattern: it selects exactly its own keys, and so does a scope's."""
    for tenant in TENANTS:
        for scope in TENANTS:
            await put(stub, key(f"of {tenant}", tenant=tenant, scope=scope))
    for tenant in TENANTS:
        assert await listed(admin, tenant) == {(scope, f"of {tenant}") for scope in TENANTS}
        assert await listed(admin, tenant, tenant) == {(tenant, f"of {tenant}")}


@pytest.mark.parametrize("page_size", [1, 7, 100, 1000])
async def test_pages(admin: AdminStub, stub: Stub, page_size: int) -> None:
    """Pages of any size have every key once, each about as many as were asked for."""
    ids = {f"c{i}" for i in range(150)}
    await asyncio.gather(*(put(stub, key(each)) for each in ids))
    await asyncio.gather(*(put(stub, key(each, tenant="globex")) for each in ids))
    found: list[ContextKey] = []
    token = ""
    while True:
        request = ListKeysRequest(tenant_id="acme", page_size=page_size, page_token=token)
        page = await admin.ListKeys(request, timeout=TIMEOUT)
        assert len(page.keys) <= 3 * page_size + 10
        found += [each.key for each in page.keys]
        token = page.next_page_token
        if not token:
            break
    assert named(found) == {("conversation", each) for each in ids}


async def test_pages_while_others_write(admin: AdminStub, stub: Stub) -> None:
    """All keys that live on are listed, whatever is written and ended between the pages."""
    lasting = {f"lasts-{i}" for i in range(100)}
    await asyncio.gather(*(put(stub, key(each)) for each in lasting))
    stop = asyncio.Event()

    async def write(writer: int) -> None:
        for i in range(10_000):
            if stop.is_set():
                return
            await put(stub, key(f"passes-{writer}-{i}"))
            if i % 2:
                await invalidate(stub, *(key(f"passes-{writer}-{j}") for j in (i - 1, i)))

    writers = [asyncio.create_task(write(i)) for i in range(3)]
    infos = await all_keys(admin, "acme", page_size=10)
    stop.set()
    await asyncio.gather(*writers)
    found = Counter(each.key.id for each in infos)
    assert lasting <= set(found)
    assert all(each in lasting or each.startswith("passes-") for each in found)


async def test_calls_have_their_turns_while_memory_is_searched() -> None:
    """A search through many entries leaves the event loop to others, who may write meanwhile."""
    storage = MemoryStorage(1, log_length=10, request_ttl_ms=1000)

    async def written(i: int) -> None:
        await storage.write(Write(Key("conversation", "acme", f"c{i:06}"), b"12345", 60_000))

    for i in range(20_000):
        await written(i)
    turns = 0

    async def write_regularly() -> None:
        nonlocal turns
        while True:
            turns += 1
            await written(20_000 + turns)
            await asyncio.sleep(0)

    inspection = storage.inspection
    writing = asyncio.create_task(write_regularly())
    scanned = await inspection.scan("acme", "", "", 100)
    assert [each.id for each in scanned.keys] == [f"c{i:06}" for i in range(100)]
    during_scan = turns
    usage = await inspection.usage()
    during_usage = turns - during_scan
    writing.cancel()
    assert min(during_scan, during_usage) >= 20
    assert usage.entries is not None
    assert usage.size == usage.entries * 5


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_names_that_nobody_chose(
    admin: AdminStub, stub: Stub, settings: Settings, store_url: str
) -> None:
    """Records of others, and records that are no entries, are left out (S8)."""
    await put(stub, key())
    prefix = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}:entry:"
    with RedisClient(store_url) as redis:
        for name in ("a:b:acme:c", "conversation:acme:%", "conversation:acme:a b", ":acme:x"):
            redis("HSET", prefix + name, "version", "1-0", "created", "1-0")
        not_text = prefix.encode() + b"conversation:acme:\xff"
        redis("HSET", not_text, "version", "1-0")
        redis("SET", prefix + "conversation:acme:text", "x")
        redis("HSET", prefix + "conversation:acme:broken", "version", "x", "created", "y")
        assert await listed(admin) == {("conversation", "c1")}
        redis("DEL", not_text)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_no_value_is_read(admin: AdminStub, stub: Stub, store_url: str) -> None:
    """Listing takes names and sizes from Redis, and no context."""
    await put(stub, key(), of_size(10_000))
    with RedisClient(store_url) as redis:
        before = redis("INFO", "stats")["total_net_output_bytes"]
        (info,) = await all_keys(admin, "acme")
        after = redis("INFO", "stats")["total_net_output_bytes"]
    assert info.size_bytes == 10_000
    assert after - before < 10_000


async def test_listing_changes_nothing(admin: AdminStub, stub: Stub) -> None:
    """A listing has no revision, no event and no effect on the times to live."""
    version = (await put(stub, key(), ttl=seconds(50))).revision
    await all_keys(admin, "acme")
    found = await get(stub, key())
    assert found.revision == version
    assert found.entry.ttl.ToMilliseconds() <= 50_000


async def test_page_tokens(admin: AdminStub, stub: Stub) -> None:
    """A token that is damaged, or of another list, is INVALID_ARGUMENT with its field."""
    await asyncio.gather(*(put(stub, key(f"c{i}")) for i in range(50)))
    request = ListKeysRequest(tenant_id="acme", page_size=1)
    token = (await admin.ListKeys(request, timeout=TIMEOUT)).next_page_token
    assert token
    wrong = [
        ListKeysRequest(tenant_id="acme", scope="conversation", page_token=token),
        ListKeysRequest(tenant_id="globex", page_token=token),
        *(
            ListKeysRequest(tenant_id="acme", page_token=each)
            for each in (token[1:], token[:-1], token.swapcase(), "x", "é", "0", token * 100)
        ),
        # A token that no server has given, though its checksum is right.
        *(
            ListKeysRequest(tenant_id="acme", page_token=token_of(("acme", ""), cursor))
            for cursor in ("x", "-1", str(1 << 64), "1" * 21, "²", "a:b")
        ),
    ]
    for each in wrong:
        failure = await failure_of(admin.ListKeys(each, timeout=TIMEOUT))
        assert (failure.reason, failure.fields) == ("INVALID_FIELD", ["page_token"])


@pytest.mark.parametrize(
    "request_, fields",
    [
        (ListKeysRequest(), ["tenant_id"]),
        (ListKeysRequest(tenant_id="a\n", scope="b\n"), ["tenant_id", "scope"]),
        (ListKeysRequest(tenant_id="x" * 257), ["tenant_id"]),
        (ListKeysRequest(tenant_id="acme", page_size=-1), ["page_size"]),
        (ListKeysRequest(tenant_id="acme", page_size=1001), ["page_size"]),
    ],
)
async def test_malformed(admin: AdminStub, request_: ListKeysRequest, fields: list[str]) -> None:
    """Each broken rule of a ListKeys is named by its field."""
    failure = await failure_of(admin.ListKeys(request_, timeout=TIMEOUT))
    assert (failure.reason, failure.fields) == ("INVALID_FIELD", fields)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_a_long_search_goes_on(
    admin: AdminStub, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page without a key need not be the last: the search goes on with the next one."""
    monkeypatch.setattr("relevo_server.service.admin.keys._STEPS", 1)
    await asyncio.gather(*(put(stub, key(f"o{i}", tenant=f"t{i % 7}")) for i in range(300)))
    await put(stub, key())
    page = await admin.ListKeys(ListKeysRequest(tenant_id="acme", page_size=1), timeout=TIMEOUT)
    assert page.next_page_token
    assert named([each.key for each in await all_keys(admin, "acme", page_size=1)]) == {
        ("conversation", "c1")
    }
