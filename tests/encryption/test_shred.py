"""ShredTenant: afterwards nobody can read what the tenant had."""

from collections.abc import AsyncIterator, Sized
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import ShredTenantRequest, ShredTenantResponse
from relevo.v1.context_pb2 import ContextKey as KeyMessage
from relevo.v1.store_pb2 import Consistency
from relevo_client import AsyncContextClient, CacheOptions, ContextKey, NotFoundError
from relevo_server.identities import Principal
from relevo_server.keys import Key, partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from support.clients.admin import admin_of
from support.clients.calls import TIMEOUT, Stub, context, get, is_alive, key, put
from support.clients.leasing import lease
from support.failures import failure_of
from support.redis.client import RedisClient
from support.servers.key_rings import encrypting, everything
from support.servers.serving import serving, stub_of
from support.waiting import until_async

MARK = "s3cret-value"
SECRET = context(user_id=MARK, llm_config={"model": MARK})


async def shred(server: Server, tenant: str = "acme", **rest: Any) -> ShredTenantResponse:
    """Shred a tenant through a server."""
    async with admin_of(server.address) as admin:
        request = ShredTenantRequest(tenant_id=tenant)
        return await admin.ShredTenant(request, timeout=TIMEOUT, **rest)


def is_known(client: AsyncContextClient, named: KeyMessage) -> bool:
    """Whether the near cache of a client has an entry."""
    try:
        return client.peek(ContextKey(named.scope, named.tenant_id, named.id)) is not None
    except NotFoundError:
        return False


class Pair:
    """Two servers over one Redis."""

    def __init__(self, servers: list[Server], stubs: list[Stub]) -> None:
        self.servers = servers
        self.stubs = stubs


@pytest.fixture
async def pair(settings: Settings) -> AsyncIterator[Pair]:
    """Two servers that encrypt."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(settings)) for _ in range(2)]
        stubs = [await stack.enter_async_context(stub_of(each.address)) for each in servers]
        yield Pair(servers, stubs)


async def test_nothing_can_be_read(pair: Pair, settings: Settings, redis: RedisClient) -> None:
    """After the answer no server reads an entry; after the bound no cache has one.

    A copy of the old records, put back into Redis, cannot be read either.
    """
    cached = {"consistency": Consistency.CONSISTENCY_CACHED}
    keys = [key(f"c{i}") for i in range(5)]
    options = CacheOptions(max_staleness=1.0)
    async with AsyncContextClient(pair.servers[1].address, timeout=10, cache=options) as client:
        for each in keys:
            await put(pair.stubs[0], each, SECRET)
            for stub in pair.stubs:
                await get(stub, each, **cached)
            named = ContextKey(each.scope, each.tenant_id, each.id)
            assert (await client.resolve(named)).context.user_id == MARK
        await put(pair.stubs[0], key(tenant="other"), SECRET)
        saved = {name: redis("DUMP", name) for name in redis.names(settings.store_prefix)
                 if ":entry:conversation:acme:" in name}  # fmt: skip
        answer = await shred(pair.servers[0])
        assert answer.key_deleted
        assert answer.erased_count == len(keys)
        assert len(keys_of(pair.servers[0])) == 1
        assert not [
            n for n in redis.names(settings.store_prefix) if ":entry:conversation:acme" in n
        ]
        for stub in pair.stubs:
            for each in keys:
                assert not await is_alive(stub, each)

        async def is_forgotten() -> bool:
            alive = [await is_alive(stub, each, **cached) for stub in pair.stubs for each in keys]
            return not any(alive) and not any(is_known(client, each) for each in keys)

        await until_async(is_forgotten, within=5, what="all caches to forget the tenant")
        # A backup of Redis has the records, and perhaps no floor.
        tag = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}"
        redis("HDEL", f"{tag}:state", "floor:acme")
        for name, dump in saved.items():
            redis("RESTORE", name, 60_000, dump)
        for stub in pair.stubs:
            for each in keys:
                assert (await failure_of(get(stub, each))).code is StatusCode.DATA_LOSS
        assert (await get(pair.stubs[1], key(tenant="other"))).entry.context.user_id == MARK


async def test_the_tenant_can_be_used_again(pair: Pair) -> None:
    """Puts after the answer are encrypted by a new key, also by servers that had the old one."""
    for _ in range(3):
        for writer, reader in (pair.stubs, reversed(pair.stubs)):
            await put(writer, key(), SECRET)
            assert (await get(reader, key())).entry.context.user_id == MARK
            await shred(pair.servers[0])
            await put(writer, key("c2"), SECRET)
            assert (await get(reader, key("c2"))).entry.context.user_id == MARK
            assert not await is_alive(reader, key())


async def test_leases_end(pair: Pair) -> None:
    """What a caller creates under a lease from before is refused (S4)."""
    token = (await lease(pair.stubs[0])).lease.token
    await shred(pair.servers[1])
    failure = await failure_of(put(pair.stubs[0], key(), SECRET, lease_token=token))
    assert failure.reason == "LEASE_LOST"


async def test_live_entries_stay(pair: Pair, redis: RedisClient, settings: Settings) -> None:
    """Erasing deletes what is dead, and what is no entry; a later Put's entry stays."""
    await put(pair.stubs[0], key(), SECRET)
    tag = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}"
    redis("SET", f"{tag}:entry:conversation:acme:foreign", "x")
    storage = open_storage(
        settings.store.get_secret_value(),
        partitions=settings.partitions,
        prefix=settings.store_prefix,
        encryption=settings.encryption,
    )
    names = [key(name) for name in ("c1", "c2", "foreign")]
    await put(pair.stubs[0], key("c2"), SECRET)
    keys = [Key(each.scope, each.tenant_id, each.id) for each in names]
    await storage.data_keys.shred("acme", "")
    await put(pair.stubs[0], key("c2"), SECRET)
    assert await storage.data_keys.erase(keys) == 2
    await storage.close()
    assert (await get(pair.stubs[1], key("c2"))).entry.context.user_id == MARK


async def test_values_that_were_not_encrypted(
    settings: Settings, plain: Settings, redis: RedisClient
) -> None:
    """Shredding deletes values in clear text too, and says whether there was a data key."""
    async with serving(plain) as stub:
        await put(stub, key(), SECRET)
        await put(stub, key(tenant="other"), context(user_id="u"))
    assert MARK.encode() in everything(redis, settings.store_prefix)
    async with Server(settings) as server:
        answer = await shred(server)
        assert (answer.key_deleted, answer.erased_count) == (False, 1)
        assert MARK.encode() not in everything(redis, settings.store_prefix)
        assert b"other" in everything(redis, settings.store_prefix)


def keys_of(server: Server) -> Sized:
    """The data keys that a server has in memory."""
    private: Any = server
    keys: Sized = private._storage._keys
    return keys


async def test_data_keys_are_forgotten(settings: Settings, ring: Path) -> None:
    """A server that nobody asks forgets a data key after `data_key_seconds`."""
    settings = encrypting(settings, ring, data_key_seconds=0.2)
    settings = settings.model_copy(update={"health_interval": 0.05})
    async with Server(settings) as server, stub_of(server.address) as stub:
        await put(stub, key(), SECRET)
        keys = keys_of(server)
        assert len(keys) == 1

        async def is_empty() -> bool:
            return len(keys) == 0

        await until_async(is_empty, what="the data key to be forgotten")
        assert (await get(stub, key())).entry.context.user_id == MARK


async def test_data_keys_in_memory_are_bounded(settings: Settings, ring: Path) -> None:
    """At most `data_keys` of them are kept, and every tenant is still read."""
    settings = encrypting(settings, ring, data_keys=3)
    async with Server(settings) as server, stub_of(server.address) as stub:
        for i in range(10):
            await put(stub, key(tenant=f"t{i}"), SECRET)
        for i in range(10):
            assert (await get(stub, key(tenant=f"t{i}"))).entry.context.user_id == MARK
        assert len(keys_of(server)) == 3


@pytest.mark.parametrize(
    "token, reason",
    [("", "UNAUTHENTICATED"), ("user", "ROLE_DENIED"), ("admin2", "TENANT_DENIED")],
)
async def test_who_may(settings: Settings, token: str, reason: str) -> None:
    """Only a principal with the role `admin` for the tenant may shred it."""
    principals = tuple(
        Principal(
            name=name,
            token_sha256=sha256(name.encode()).hexdigest(),
            tenants=("other",) if name == "admin2" else ("acme",),
            admin=name != "user",
        )
        for name in ("user", "admin", "admin2")
    )
    async with Server(settings.model_copy(update={"principals": principals})) as server:
        metadata = (("authorization", f"Bearer {token}"),)
        assert (await failure_of(shred(server, metadata=metadata))).reason == reason
        metadata = (("authorization", "Bearer admin"),)
        assert not (await shred(server, metadata=metadata)).key_deleted
