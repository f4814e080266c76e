"""What Redis holds of values that are encrypted, and what becomes of broken ones."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import ExplainRequest, ShredTenantRequest
from relevo.v1.store_pb2 import Consistency, SnapshotRequest
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage.encrypted.values import DataKey
from support.clients.admin import admin_of, all_keys
from support.clients.calls import (
    TIMEOUT,
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    key,
    masked,
    put,
)
from support.clients.leasing import lease, release
from support.clients.watching import Watch
from support.failures import failure_in, failure_of
from support.redis.client import RedisClient
from support.servers.key_rings import encrypting, everything
from support.servers.serving import serving, stub_of

MARK = "s3cret-value"
SECRET = context(user_id=MARK, llm_config={"model": MARK, "deep": {"list": [MARK]}})


async def use(server: Server, stub: Stub, *, seen: set[str]) -> AsyncIterator[str]:
    """Call every RPC with marked values, and yield its name after each. Adds tokens to `seen`."""
    await put(stub, key(), SECRET, request_id="r1")
    yield "Put"
    await put(stub, key(), SECRET, request_id="r1")
    yield "Put again"
    mask = masked("llm_config.model", "user_id")
    await put(stub, key(), context(user_id=MARK, llm_config={"model": MARK}), update_mask=mask)
    yield "Put of parts"
    leased = await lease(stub, key("c2"), request_id="r2")
    seen.add(leased.lease.token)
    yield "Lease"
    assert (await lease(stub, key("c2"), request_id="r2")).lease.token == leased.lease.token
    yield "Lease again"
    await put(stub, key("c2"), SECRET, lease_token=leased.lease.token)
    yield "Put under a lease"
    token = (await lease(stub, key("c3"))).lease.token
    seen.add(token)
    await release(stub, token, key("c3"))
    yield "Release"
    snapshot = await stub.Snapshot(SnapshotRequest(key=key()), timeout=TIMEOUT)
    assert snapshot.entry.context.user_id == MARK
    yield "Snapshot"
    for consistency in (Consistency.CONSISTENCY_STRONG, Consistency.CONSISTENCY_CACHED):
        found = await get(stub, key(), consistency=consistency)
        assert found.entry.context.user_id == MARK
        yield "Get"
    assert len(await batch_get(stub, key(), key("c2"))) == 2
    yield "BatchGet"
    async with Watch(stub) as watch:
        answer = await watch.answer(watch.subscribe(key()))
        assert answer.entry.context.llm_config["model"] == MARK
        watch.touch(key())
        await put(stub, key(), SECRET)
        assert (await watch.news()).entry.context.user_id == MARK
    yield "Watch"
    async with admin_of(server.address) as admin:
        explained = await admin.Explain(ExplainRequest(key=key()), timeout=TIMEOUT)
        assert explained.context.user_id == MARK
        assert len(await all_keys(admin, "acme")) == 3
        yield "Admin"
        await invalidate(stub, key("c2"), request_id="r3")
        await invalidate_tenant(stub, "acme", "agent_config")
        yield "Invalidate"
        await admin.ShredTenant(ShredTenantRequest(tenant_id="acme"), timeout=TIMEOUT)
        yield "ShredTenant"


async def test_redis_has_no_value(settings: Settings, redis: RedisClient) -> None:
    """After every RPC, Redis holds no value of a context and no token of a lease in clear text."""
    tokens: set[str] = set()
    async with Server(settings) as server, stub_of(server.address) as stub:
        async for name in use(server, stub, seen=tokens):
            held = everything(redis, settings.store_prefix)
            assert MARK.encode() not in held, name
            assert not [token for token in tokens if token.encode() in held], name
            assert not [value for value in cached_values(server) if MARK.encode() in value], name
    assert len(tokens) == 2


async def test_without_encryption_redis_has_values(plain: Settings, redis: RedisClient) -> None:
    """Without `encryption`, values are stored as they are; tokens of leases are not (control)."""
    async with serving(plain) as stub:
        await put(stub, key(), SECRET)
        token = (await lease(stub, key("c2"), request_id="r")).lease.token
    held = everything(redis, plain.store_prefix)
    assert MARK.encode() in held
    assert token.encode() not in held


async def test_one_value_twice(stub: Stub, settings: Settings, redis: RedisClient) -> None:
    """The same context is never encrypted to the same bytes, and the two read the same."""
    name = entry_name(settings)
    stored: set[bytes] = set()
    for _ in range(3):
        await put(stub, key(), SECRET)
        stored.add(redis("HGET", name, "context"))
        assert (await get(stub, key())).entry.context.user_id == MARK
    assert len(stored) == 3


async def test_two_servers_make_one_key(
    settings: Settings, redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """If servers make a tenant's first data key at the same time, all use the same one."""
    async with serving(settings) as one, serving(settings) as other:
        keys = [key(f"c{i}") for i in range(20)]
        await asyncio.gather(
            *(put((one, other)[i % 2], each, SECRET) for i, each in enumerate(keys))
        )
        for stub in (one, other):
            for result in await batch_get(stub, *keys):
                assert result.response.entry.context.user_id == MARK
    assert len(redis("HGETALL", keys_name(settings))) == 1
    assert "encryption" not in caplog.text


async def test_repeated_puts(settings: Settings) -> None:
    """A Put with the same request_id is the same Put on each server, and another is refused."""
    async with serving(settings) as one, serving(settings) as other:
        first = await put(one, key(), SECRET, request_id="r")
        assert (await put(other, key(), SECRET, request_id="r")).revision == first.revision
        failure = await failure_of(put(other, key(), context(), request_id="r"))
        assert failure.reason == "REQUEST_ID_REUSED"
        part = context(user_id="u"), masked("user_id")
        done = await put(one, key(), part[0], update_mask=part[1], request_id="m")
        again = await put(other, key(), part[0], update_mask=part[1], request_id="m")
        assert again.revision == done.revision


BROKEN: dict[str, Callable[[list[bytes]], bytes]] = {
    "another entry's value": lambda stored: stored[1],
    "another tenant's value": lambda stored: stored[2],
    "a changed bit": lambda stored: stored[0][:-1] + bytes([stored[0][-1] ^ 1]),
    "a changed salt": lambda stored: stored[0][:12] + bytes(16) + stored[0][28:],
    "a cut value": lambda stored: stored[0][:30],
    "an unknown form": lambda stored: b"\0\x09" + stored[0][2:],
    "an unknown key": lambda stored: stored[0][:2] + b"12345678" + stored[0][10:],
}
"""Values in the place of the first one of those that are stored."""


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_value_costs_itself(
    settings: Settings, redis: RedisClient, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """A value that does not decrypt is DATA_LOSS with one log line; all others are read (S8)."""
    settings = settings.model_copy(update={"partitions": 1})
    async with serving(settings) as stub:
        for each in (key(), key("other"), key(tenant="acme2")):
            await put(stub, each, SECRET)
        name = entry_name(settings)
        others = name.replace(":c1", ":other"), name.replace("acme", "acme2")
        stored = [redis("HGET", each, "context") for each in (name, *others)]
        redis("HSET", name, "context", BROKEN[broken](stored))
        async with Watch(stub) as watch:
            with caplog.at_level(logging.ERROR, "relevo_server"):
                failure = await failure_of(get(stub, key()))
                one, two, three = await batch_get(stub, key("other"), key(), key(tenant="acme2"))
            assert (await watch.answer(watch.subscribe(key("other")))).HasField("entry")
        assert (failure.code, failure.reason) == (StatusCode.DATA_LOSS, "CORRUPT_ENTRY")
        assert "cannot be decrypted" in failure.message
        assert failure_in(two.error).reason == "CORRUPT_ENTRY"
        assert {each.response.entry.context.user_id for each in (one, three)} == {MARK}
        lines = [r for r in caplog.records if "encryption.unreadable" in r.getMessage()]
        assert len(lines) == 1
        assert MARK not in caplog.text
        await put(stub, key(), SECRET)
        assert (await get(stub, key())).entry.context.user_id == MARK


async def test_a_broken_data_key_costs_its_tenant(
    settings: Settings, redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A tenant whose data key was changed gets DATA_LOSS until it is shredded; no other does."""
    settings = settings.model_copy(update={"partitions": 1})
    async with Server(settings) as server, stub_of(server.address) as stub:
        for each in (key(), key(tenant="acme2")):
            await put(stub, each, SECRET)
        # Wrapped for one tenant, it is no other tenant's.
        redis("HSET", keys_name(settings), "acme", redis("HGET", keys_name(settings), "acme2"))
    async with Server(settings) as server, stub_of(server.address) as stub:
        for call in (get(stub, key()), put(stub, key("new"), SECRET)):
            assert (await failure_of(call)).code is StatusCode.DATA_LOSS
        assert (await get(stub, key(tenant="acme2"))).entry.context.user_id == MARK
        async with admin_of(server.address) as admin:
            await admin.ShredTenant(ShredTenantRequest(tenant_id="acme"), timeout=TIMEOUT)
        await put(stub, key("new"), SECRET)
        assert (await get(stub, key("new"))).entry.context.user_id == MARK
    assert "encryption.unreadable" in caplog.text


async def test_values_from_before(
    settings: Settings, plain: Settings, ring: Path, redis: RedisClient
) -> None:
    """Values that were written without encryption are read, except with `values = "only"`."""
    async with serving(plain) as stub:
        await put(stub, key("before"), SECRET)
    reading = encrypting(settings, ring, values="read")
    strict = encrypting(settings, ring, values="only")
    async with serving(reading) as reader, serving(settings) as writer, serving(strict) as only:
        await put(reader, key("meanwhile"), SECRET)
        assert MARK.encode() in everything(redis, settings.store_prefix)
        await put(writer, key("after"), SECRET)
        for stub in (reader, writer):
            for name in ("before", "meanwhile", "after"):
                assert (await get(stub, key(name))).entry.context.user_id == MARK
        assert (await get(only, key("after"))).entry.context.user_id == MARK
        for name in ("before", "meanwhile"):
            assert (await failure_of(get(only, key(name)))).code is StatusCode.DATA_LOSS
            await put(only, key(name), SECRET)
    assert MARK.encode() not in everything(redis, settings.store_prefix)


async def test_cached_reads_decrypt_nothing(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read from the server's own cache, and a Watch's next watcher, cost no decryption."""
    decrypted: list[object] = []
    decrypt = DataKey.decrypt

    def counted(self: DataKey, *args: Any) -> bytes:
        decrypted.append(args)
        return decrypt(self, *args)

    monkeypatch.setattr(DataKey, "decrypt", counted)
    await put(stub, key(), SECRET)
    cached = {"consistency": Consistency.CONSISTENCY_CACHED}
    async with Watch(stub) as watch:  # the partition is followed, so its entries are cached
        await watch.answer(watch.subscribe(key()))
        await get(stub, key(), **cached)
        before = len(decrypted)
        assert before > 0
        for _ in range(10):
            assert (await get(stub, key(), **cached)).entry.context.user_id == MARK
        assert len(decrypted) == before


def cached_values(server: Server) -> list[bytes]:
    """The values that the Redis backend of a server has cached."""
    private: Any = server
    return [each.context for each in private._storage._storage._recent._contexts.values()]


def entry_name(settings: Settings) -> str:
    """The name of the record of `key()`."""
    return f"{tag(settings)}:entry:conversation:acme:c1"


def keys_name(settings: Settings) -> str:
    """The name of the record of the data keys of the partition of `acme`."""
    return f"{tag(settings)}:keys"


def tag(settings: Settings) -> str:
    """The hash tag of the partition of `acme`."""
    return f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}"
