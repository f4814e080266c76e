"""Floors: one step ends all entries of a tenant, or of one of its scopes."""

import asyncio

import pytest
from grpc import StatusCode
from relevo.v1.context_pb2 import ContextKey
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.calls import (
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
)
from support.failures import failure_of
from support.servers.serving import serving


def neighbour(tenant: str, partitions: int) -> str:
    """Another tenant in the same partition."""
    partition = partition_of(tenant, partitions)
    names = (f"{tenant}-{i}" for i in range(100_000))
    return next(name for name in names if partition_of(name, partitions) == partition)


async def alive(stub: Stub, keys: list[ContextKey]) -> int:
    """The number of keys with a live entry. All others must be NOT_FOUND."""
    count = 0
    for start in range(0, len(keys), 100):
        for result in await batch_get(stub, *keys[start : start + 100]):
            if result.HasField("response"):
                count += 1
            else:
                assert result.error.code == StatusCode.NOT_FOUND.value[0]
    return count


async def test_a_thousand_entries_die_in_one_call(
    storage: Storage, storage_stub: Stub, settings: Settings
) -> None:
    """One call with one event ends all entries of the tenant, and no other tenant's."""
    stub = storage_stub
    scopes = ("conversation", "agent_config", "collection_config", "other")
    keys = [key(f"c{i}", scope=scopes[i % 4]) for i in range(1000)]
    near = neighbour("acme", settings.partitions)
    others = [key(f"c{i}", tenant=tenant) for i in range(50) for tenant in (near, "globex")]
    for start in range(0, 1100, 50):
        part = [*keys, *others][start : start + 50]
        await asyncio.gather(*(put(stub, each, context(user_id="u")) for each in part))
    assert await alive(stub, [*keys, *others]) == 1100
    partition = storage.partition_of("acme")
    before = (await get(stub, keys[0])).revision
    floor = (await invalidate_tenant(stub, "acme")).revision
    events = (await storage.tail(partition, before, 10)).events
    assert [(event.kind, event.revision) for event in events] == [("floor", floor)]
    assert await alive(stub, keys) == 0
    assert await alive(stub, others) == 100
    reborn = await put(stub, keys[0], context(user_id="new"))
    assert reborn.revision > floor
    assert (await get(stub, keys[0])).entry.context.user_id == "new"
    assert await alive(stub, keys) == 1


async def test_a_scope_floor_spares_other_scopes(stub: Stub) -> None:
    """A scope's floor ends only the entries of that scope, and only the named tenant's."""
    keys = [
        key(scope=scope, tenant=tenant)
        for scope in ("conversation", "agent_config")
        for tenant in ("acme", "globex")
    ]
    for each in keys:
        await put(stub, each)
    await invalidate_tenant(stub, "acme", "conversation")
    assert [await is_alive(stub, each) for each in keys] == [False, True, True, True]


@pytest.mark.parametrize("first, then", [("", "conversation"), ("conversation", "")])
async def test_floors_do_not_lower_one_another(stub: Stub, first: str, then: str) -> None:
    """A later floor, of a tenant or a scope, never revives an entry that an earlier one ended."""
    await put(stub, key("old"))
    await invalidate_tenant(stub, "acme", first)
    await put(stub, key("between"))
    await invalidate_tenant(stub, "acme", then)
    await put(stub, key("new"))
    assert [await is_alive(stub, key(name)) for name in ("old", "between", "new")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "ended, spared",
    [
        (("a:b", ""), key(tenant="a", scope="b")),
        (("a", "b"), key(tenant="a:b", scope="c")),
        (("a%3Ab", ""), key(tenant="a:b", scope="c")),
        (("a", ""), key(tenant="a:b", scope="c")),
    ],
)
async def test_floors_of_names_that_look_alike(
    settings: Settings, ended: tuple[str, str], spared: ContextKey
) -> None:
    """Similar names of tenants or scopes in one partition are never confused."""
    async with serving(settings.model_copy(update={"partitions": 1})) as stub:
        await put(stub, spared)
        await invalidate_tenant(stub, *ended)
        assert await is_alive(stub, spared)


async def test_a_floor_ends_for_every_kind_of_call(stub: Stub) -> None:
    """An entry below a floor is absent for conditions, masks, layers and Invalidate's count."""
    agent = key("a1", scope="agent_config")
    version = (await put(stub, agent)).revision
    await put(stub, key(), context(includes=[agent]))
    await invalidate_tenant(stub, "acme", "agent_config")
    assert not (await get(stub, key(), include_layers=True)).layers
    assert (await invalidate(stub, agent)).invalidated_count == 0
    failure = await failure_of(put(stub, agent, if_version=version))
    assert failure.metadata["current_version"] == "0"
    failure = await failure_of(put(stub, agent, update_mask=masked("user_id")))
    assert failure.reason == "NO_ENTRY"
    await put(stub, agent, if_absent=True)
    assert len((await get(stub, key(), include_layers=True)).layers) == 1


async def test_a_tenant_without_entries_has_a_floor(stub: Stub) -> None:
    """Ending a tenant without entries takes a revision like any other write."""
    first = (await invalidate_tenant(stub, "acme")).revision
    assert (await invalidate_tenant(stub, "acme", "any")).revision > first > 0


async def test_puts_that_race_with_a_floor(stub: Stub) -> None:
    """Amid concurrent Puts, a floor ends exactly the entries with a revision at or below it."""
    keys = [key(f"c{i}") for i in range(60)]
    writes = [asyncio.create_task(put(stub, each)) for each in keys[:30]]
    floor = asyncio.create_task(invalidate_tenant(stub, "acme"))
    writes += [asyncio.create_task(put(stub, each)) for each in keys[30:]]
    versions = [written.revision for written in await asyncio.gather(*writes)]
    revision = (await floor).revision
    for each, version in zip(keys, versions, strict=True):
        assert await is_alive(stub, each) is (version > revision)
