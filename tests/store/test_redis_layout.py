"""The keys of the store in Redis: names, times to live, and the record of the layout (S3, S7)."""

import signal

import pytest
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import LayoutError
from support.clients.calls import (
    Stub,
    context,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
)
from support.redis.client import RedisClient
from support.servers.process import relevo_ends, relevo_serve
from support.servers.serving import serving


@pytest.fixture
def store_url(redis_url: str) -> str:
    """These tests are about Redis."""
    return redis_url


async def use(stub: Stub) -> None:
    """Make every kind of write."""
    for tenant in ("acme", "globex", "initech"):
        named = key(tenant=tenant)
        await put(stub, named, context(user_id="u"), request_id="r")
        await put(stub, named, context(user_id="v"), update_mask=masked("user_id"))
        await put(stub, key("c2", tenant=tenant), if_absent=True)
        await invalidate(stub, key("c3", tenant=tenant), key("c4", tenant=tenant))
        await invalidate_tenant(stub, tenant)
        await invalidate_tenant(stub, tenant, "agent_config")
        await put(stub, named)


async def test_only_entries_and_requests_carry_a_ttl(
    stub: Stub, settings: Settings, redis: RedisClient
) -> None:
    """Only entries and request records have a TTL: `volatile-*` eviction never takes the order."""
    await use(stub)
    prefix = settings.store_prefix
    kinds: dict[str, list[bool]] = {}
    for name in redis.names(prefix):
        kind = name.removeprefix(prefix).partition("}:")[2].partition(":")[0] or "layout"
        kinds.setdefault(kind, []).append(redis("PTTL", name) > 0)
    assert {kind: set(volatile) for kind, volatile in kinds.items()} == {
        "layout": {False},
        "state": {False},
        "log": {False},
        "entry": {True},
        "request": {True},
    }


async def test_names_of_one_tenant_share_a_hash_tag(
    stub: Stub, settings: Settings, redis: RedisClient
) -> None:
    """All keys but the layout's have the hash tag of their tenant's partition."""
    await use(stub)
    prefix = settings.store_prefix
    tags = {name.partition("}")[0] + "}" for name in redis.names(prefix)}
    tags.remove(f"{prefix}:layout}}")
    assert tags == {
        f"{{{prefix}:{partition_of(tenant, settings.partitions)}}}"
        for tenant in ("acme", "globex", "initech")
    }


async def test_evicted_entries_leave_the_order_alone(
    stub: Stub, settings: Settings, redis: RedisClient
) -> None:
    """An entry that Redis evicted is absent, and its versions continue."""
    version = (await put(stub, key())).revision
    redis("DEL", *(name for name in redis.names(settings.store_prefix) if ":entry:" in name))
    assert not await is_alive(stub, key())
    assert (await put(stub, key(), if_absent=True)).revision > version


async def test_a_ttl_is_never_missing(stub: Stub, settings: Settings, redis: RedisClient) -> None:
    """Each write sets the entry's TTL, also if the entry had lost it."""
    await put(stub, key())
    (name,) = (n for n in redis.names(settings.store_prefix) if ":entry:" in n)
    redis("PERSIST", name)
    await put(stub, key())
    assert redis("PTTL", name) > 0


async def test_the_layout_is_recorded_once(settings: Settings, redis: RedisClient) -> None:
    """The first server records the number of partitions; others with the same number may join."""
    async with serving(settings), serving(settings) as stub:
        await put(stub, key())
        layout = redis("HGETALL", f"{settings.store_prefix}:layout")
    assert layout == {b"partitions": b"64", b"version": b"1"}


async def test_another_number_of_partitions_refuses_to_start(settings: Settings) -> None:
    """A server with another number of partitions, which would miss entries, does not start (S7)."""
    async with serving(settings) as stub:
        await put(stub, key())
        with pytest.raises(LayoutError, match=r"64 partitions.*32"):
            await Server(settings.model_copy(update={"partitions": 32})).__aenter__()
        assert await is_alive(stub, key())


def test_the_command_says_so_too(settings: Settings, redis: RedisClient) -> None:
    """`relevo serve` reports another layout in one readable line, and exits with code 1."""
    redis("HSET", f"{settings.store_prefix}:layout", "partitions", 64, "version", 1)
    store = ("--store", settings.store.get_secret_value(), "--store-prefix", settings.store_prefix)
    ended = relevo_ends(*store, "--partitions", "32", "--listen", "127.0.0.1:0")
    assert ended.returncode == 1
    assert ended.stderr == (
        "relevo serve: the store has 64 partitions in layout 1; "
        "this server is set to 32 in layout 1\n"
    )


@pytest.mark.parametrize("field", ["partitions", "version"])
def test_a_store_that_changed_hands_ends_the_server(
    settings: Settings, redis: RedisClient, field: str
) -> None:
    """A running server ends with the reason if its store now belongs to another layout."""
    store = ("--store", settings.store.get_secret_value(), "--store-prefix", settings.store_prefix)
    with relevo_serve(*store, "--health-interval", "0.05") as server:
        redis("HSET", f"{settings.store_prefix}:layout", field, 2)
        assert server.wait() == 1
        assert "relevo serve: the store has " in server.lines[-1]


async def test_prefixes_are_stores_of_their_own(settings: Settings, redis: RedisClient) -> None:
    """Stores with different prefixes in one Redis are independent."""
    other = f"{settings.store_prefix}.b"
    changes = {"store_prefix": other, "partitions": 8}
    async with serving(settings) as stub, serving(settings.model_copy(update=changes)) as theirs:
        await put(stub, key())
        assert not await is_alive(theirs, key())
        await invalidate_tenant(theirs, "acme")
        assert await is_alive(stub, key())
    redis.forget(other)


def test_the_log_says_where_but_not_who(settings: Settings) -> None:
    """The log has the store's address without its password."""
    url = settings.store.get_secret_value().replace("redis://", "redis://:s3cret@")
    with relevo_serve("--store", url, "--store-prefix", settings.store_prefix) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert server.events("server.started")[0]["store"] == settings.store.get_secret_value()
    assert "s3cret" not in "".join(server.lines)
