"""The sampler compares answers of a near cache with the store, and no caller waits for it."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from relevo_client import (
    CacheOptions,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    NotFoundError,
)
from relevo_client._near_cache import contexts
from relevo_client._near_cache.machine import NearCache
from relevo_client._store.aio import AsyncStore
from relevo_client._store.blocking import Store
from relevo_client._telemetry.counts import COUNTS
from relevo_server.server import Server
from support.clients.either import KEY, Either, opened
from support.servers.shapes import Kind
from support.waiting import until_async

MAX_STALENESS = 0.3
LAYER = ContextKey("agent_config", "acme", "a")


@pytest.fixture
def store_url() -> str:
    """The embedded backend: what a client compares is the same with every backend."""
    return "memory://"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The verdicts of this test alone."""
    counter: Any = Counter[str]()
    monkeypatch.setattr(COUNTS, "sampler_checks", counter)
    return counter  # type: ignore[no-any-return]


@pytest.fixture
async def client(server: Server, kind: Kind) -> AsyncIterator[Either]:
    """A client that checks every answer."""
    cache = CacheOptions(max_staleness=MAX_STALENESS, sample_every=1)
    async with opened(kind, server.address, timeout=10, cache=cache) as client:
        yield client


async def put(client: Either, key: ContextKey = KEY, **fields: Any) -> ContextRef:
    """Write a context."""
    context = ExecutionContext(**fields)
    ref: ContextRef = await client.ask(lambda client: client.put(key, context))
    return ref


async def counted(
    checks: Counter[str], verdict: str, least: int = 1, *, asked: Either | None = None
) -> None:
    """Wait for a verdict, and ask again until then: an answer may have been skipped."""

    async def is_counted() -> bool:
        if asked:
            with suppress(NotFoundError):
                asked.peek(KEY)
        return checks[verdict] >= least

    await until_async(is_counted, what=f"{least} {verdict} in {checks}")


async def test_a_healthy_store(server: Server, client: Either, checks: Counter[str]) -> None:
    """Answers that change, that are composed and that say that there is no entry are current."""
    async with opened("asyncio", server.address, timeout=10, cache=None) as owner:
        await put(owner, LAYER, metadata={"layer": 0})
        for number in range(40):
            await put(owner, LAYER, metadata={"layer": number})
            await client.local(await put(owner, user_id=f"{number}", includes=(LAYER,)))
            if number % 4 == 0:
                await owner.ask(lambda client: client.invalidate(KEY))
                await client.absent(KEY)
        await counted(checks, "current", 3, asked=client)
    assert not checks["stale"]
    assert not checks["wrong"]


@pytest.mark.parametrize("change", ["put", "invalidate"])
async def test_a_copy_that_stays_old(
    client: Either,
    checks: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A near cache that goes on to serve what has changed is stale; the log names the key."""
    await put(client, user_id="secret-1")
    await client.local(KEY)

    def received(*_: object) -> bool:
        return True

    monkeypatch.setattr(NearCache, "received", received)
    monkeypatch.setattr(NearCache, "lookup", last_known)
    if change == "put":
        await put(client, user_id="secret-2")
    else:
        await client.ask(lambda client: client.invalidate(KEY))
    await counted(checks, "stale", asked=client)
    assert not checks["wrong"]
    assert f"the near cache's answer for {KEY} was stale" in caplog.text
    assert "secret" not in caplog.text


def last_known(cache: NearCache, key: ContextKey, _: int, now: float) -> Any:
    """A lookup that ignores the rules."""
    return cache.last_known(key, now)


async def test_an_absence_that_stays_old(
    client: Either, checks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A near cache that goes on to say that there is no entry is stale."""

    def none(*_: object) -> None:
        raise NotFoundError("there is none", reason="NO_ENTRY")

    await put(client)
    monkeypatch.setattr(contexts, "resolve", none)
    await counted(checks, "stale", asked=client)


WRONG: dict[str, Callable[[ContextEntry], ContextEntry]] = {
    "version": lambda entry: replace(entry, version=entry.version + 1),
    "context": lambda entry: replace(entry, context=ExecutionContext(user_id="other")),
}


@pytest.mark.parametrize("broken", WRONG.values(), ids=WRONG)
async def test_a_wrong_copy(
    client: Either,
    checks: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[ContextEntry], ContextEntry],
) -> None:
    """A version that the store does not have yet, or another value under its version, is wrong."""
    await put(client)
    entry = await client.local(KEY)

    def resolve(*_: object) -> ContextEntry:
        return broken(entry)

    monkeypatch.setattr(contexts, "resolve", resolve)
    await counted(checks, "wrong", asked=client)


async def test_nobody_waits(
    client: Either, kind: Kind, checks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one answer is checked, others are served and skipped; closing ends the check."""
    await put(client)
    await client.local(KEY)
    await counted(checks, "current", asked=client)
    asked = 0
    begun, is_over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def wait(*_: object) -> None:
        nonlocal asked
        asked += 1
        begun.set()
        await asyncio.Event().wait()

    def wait_blocking(*_: object) -> None:
        nonlocal asked
        asked += 1
        loop.call_soon_threadsafe(begun.set)
        is_over.wait(10)
        raise NotFoundError("there is none", reason="NO_ENTRY")

    monkeypatch.setattr(AsyncStore, "get", wait)
    monkeypatch.setattr(Store, "get", wait_blocking)

    async def is_begun() -> bool:
        assert client.peek(KEY)
        return begun.is_set()

    await until_async(is_begun)
    for _ in range(100):
        assert client.peek(KEY)
    assert asked == 1
    await client.close()
    is_over.set()
    assert kind == "blocking" or not [
        task for task in asyncio.all_tasks() if task.get_name() == "relevo-sample"
    ]


async def test_every_so_many(server: Server, kind: Kind, checks: Counter[str]) -> None:
    """One answer of so many is checked, and none by default."""
    for every, expected in ((0, 0), (10, 1)):
        cache = CacheOptions(sample_every=every)
        async with opened(kind, server.address, timeout=10, cache=cache) as client:
            await put(client)
            await client.local(KEY)
            hits = client.cache_counts.hits
            for _ in range(19 - hits):
                assert client.peek(KEY)
            if expected:
                await counted(checks, "current", expected)
        assert sum(checks.values()) == expected
