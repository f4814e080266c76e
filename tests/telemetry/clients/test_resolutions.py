"""Resolutions and near caches are counted: the sums are what the test itself has counted."""

import asyncio
import gc
from typing import Any

import pytest
from relevo_client import (
    CacheOptions,
    ContextKey,
    ContextSource,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
    UnavailableError,
)
from relevo_server.server import Server
from support.clients.either import KEY, KINDS, Ask, Either, opened
from support.clients.factories import Factory
from support.servers.shapes import Kind
from support.telemetry.recorded import Meters

RESOLUTIONS = "relevo.client.resolutions"
DURATION = "relevo.client.resolution.duration"
AGENT = ContextKey("agent_config", "acme", "a1")

each_kind = pytest.mark.parametrize("kind", KINDS)


def by(source: str, outcome: str) -> dict[str, str]:
    """The attributes of a resolution."""
    return {"relevo__context__source": source, "relevo__outcome": outcome}


async def resolve(client: Either, target: Any = KEY, **options: Any) -> Any:
    """Resolve a key or reference."""
    return await client.ask(lambda client: client.resolve(target, **options))


def putting(key: ContextKey) -> Ask:
    """A Put of an empty context."""
    return lambda client: client.put(key, ExecutionContext())


@each_kind
async def test_sources(server: Server, meters: Meters, kind: Kind) -> None:
    """A resolution counts once, under its source; its duration counts if there was I/O.

    The entry says the same as the metric.
    """
    async with opened(kind, server.address, timeout=10) as client:
        ref = await client.ask(lambda client: client.put(KEY, ExecutionContext(user_id="u")))
        before = meters.figures()
        assert (await resolve(client, ref)).source is ContextSource.STORE
        await client.local(ref)
        counted, before_hits = meters.figures().since(before), meters.figures()
        assert counted.total(RESOLUTIONS, **by("store", "ok")) == 1
        assert counted.total(DURATION, **by("store", "ok")) == 1
        for _ in range(3):
            assert (await resolve(client, ref)).source is ContextSource.NEAR_CACHE
        assert (await resolve(client, ref, fresh=True)).source is ContextSource.STORE
        counted = meters.figures().since(before_hits)
    assert counted.total(RESOLUTIONS, **by("near_cache", "ok")) == 3
    assert counted.total(RESOLUTIONS, **by("store", "ok")) == 1
    assert counted.total(RESOLUTIONS) == 4
    assert counted.total(DURATION) == 1


@each_kind
async def test_what_a_loader_makes(server: Server, meters: Meters, kind: Kind) -> None:
    """A context that needed a loader counts as one from a loader, whatever was missing."""
    factory = Factory(ExecutionContext(user_id="u"))
    loaders = {"conversation": factory.of(kind)}
    async with opened(kind, server.address, timeout=10, loaders=loaders) as client:
        before = meters.figures()
        found = await resolve(client)
        assert found.source is ContextSource.LOADER
        counted = meters.figures().since(before)
    assert counted.total(RESOLUTIONS) == counted.total(RESOLUTIONS, **by("loader", "ok")) == 1
    assert counted.total(DURATION, **by("loader", "ok")) == 1


@each_kind
async def test_outcomes(server: Server, meters: Meters, kind: Kind) -> None:
    """A resolution that fails counts under its reason.

    A near cache that knows that there is no entry is the source of that, without I/O.
    """
    async with opened(kind, server.address, timeout=10) as client:
        before = meters.figures()
        with pytest.raises(NotFoundError):
            await resolve(client)
        await client.absent(KEY)
        for _ in range(2):
            with pytest.raises(NotFoundError):
                await resolve(client)
        await client.ask(lambda client: client.put(KEY, ExecutionContext(includes=(AGENT,))))
        with pytest.raises(IncompleteContextError):
            await resolve(client, fresh=True)
        counted = meters.figures().since(before)
        assert counted.total(RESOLUTIONS, **by("store", "no_entry")) == 1
        assert counted.total(RESOLUTIONS, **by("near_cache", "no_entry")) == 2
        assert counted.total(RESOLUTIONS, **by("store", "incomplete_context")) == 1
        assert counted.total(DURATION) == 2
    before = meters.figures()
    with pytest.raises(UnavailableError):
        await resolve(client)
    assert meters.figures().since(before).total(RESOLUTIONS, **by("store", "client_closed")) == 1


@each_kind
async def test_the_near_cache(server: Server, meters: Meters, kind: Kind) -> None:
    """Hits, misses, pushes, evictions, entries and bytes are those of the cache."""
    name = "relevo.client.near_cache"
    keys = [ContextKey("conversation", "acme", f"c-{i}") for i in range(6)]
    before = meters.figures()
    async with opened(
        kind, server.address, timeout=10, cache=CacheOptions(max_entries=4)
    ) as client:
        for key in keys:
            await client.ask(putting(key))
            await resolve(client, key)
            await client.local(key)
        ref = await client.ask(lambda client: client.put(keys[-1], ExecutionContext(user_id="v")))
        await client.local(ref)
        counts, counted = client.cache_counts, meters.figures().since(before)
        assert counts.hits > 0
        assert counted.total(f"{name}.lookups", relevo__cache__result="hit") == counts.hits
        assert counted.total(f"{name}.lookups", relevo__cache__result="miss") == 6 == counts.misses
        assert counted.total(f"{name}.evictions") == 2 == counts.evictions
        assert counted.total(f"{name}.pushes") == 1 == counts.pushes
        assert counted.total(f"{name}.entries") == 4
        assert counted.total("relevo.client.watch.connected") == 1
        now = meters.figures()
        assert now.total(f"{name}.size") > 0
        assert 0 < now.total(f"{name}.staleness") < 60
    counted = meters.figures().since(before)
    assert counted.total(f"{name}.entries") == counted.total(f"{name}.size") == 0
    assert counted.total("relevo.client.watch.connected") == 0


@each_kind
async def test_counters_of_clients_that_are_gone(
    server: Server, meters: Meters, kind: Kind
) -> None:
    """What a closed client has counted stays in the sums when its memory is free again."""
    before = meters.figures()
    for _ in range(3):
        async with opened(kind, server.address, timeout=10) as client:
            await client.ask(lambda client: client.put(KEY, ExecutionContext()))
            await resolve(client)
        del client
    await asyncio.sleep(0)  # the loop forgets the closed watcher's task
    gc.collect()
    counted = meters.figures().since(before)
    misses = counted.total("relevo.client.near_cache.lookups", relevo__cache__result="miss")
    assert misses == counted.total(RESOLUTIONS, **by("store", "ok")) == 3
