"""Loaders: the first caller creates a missing entry, and it is renewed before it expires."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    UnavailableError,
)
from relevo_client._near_cache.machine import NearCache
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.ttl import Ttl
from support.clients.either import KEY, KINDS, Ask, Either, opened
from support.clients.factories import Factory
from support.servers.shapes import Kind
from support.waiting import until_async

each_kind = pytest.mark.parametrize("kind", KINDS)
each_cache = pytest.mark.parametrize("cache", [None, CacheOptions()], ids=["no cache", "cache"])

AGENT = ContextKey("agent_config", "acme", "a1")
COLLECTION = ContextKey("collection_config", "acme", "docs")
HEAD = ExecutionContext(user_id="u", includes=(AGENT, COLLECTION))


def resolving(target: ContextKey | ContextRef, **options: float) -> Ask:
    """A resolution of the key."""
    return lambda client: client.resolve(target, **options)


def putting(user_id: str) -> Ask:
    """A Put of a user's context."""
    return lambda client: client.put(KEY, ExecutionContext(user_id=user_id))


@pytest.fixture
async def owner(server: Server) -> AsyncIterator[Either]:
    """A client that puts entries without a loader."""
    async with opened("asyncio", server.address) as owner:
        await owner.ask(lambda client: client.put(KEY, HEAD))
        yield owner


@each_kind
@each_cache
async def test_missing_layers_are_made(
    server: Server, owner: Either, kind: Kind, cache: CacheOptions | None
) -> None:
    """A missing layer is created by its scope's loader, once."""
    del owner
    agent = Factory(ExecutionContext(llm_config={"model": "m"}))
    collection = Factory(ExecutionContext(rag_config={"top_k": 3}))
    loaders = {"agent_config": agent.of(kind), "collection_config": collection.of(kind)}
    async with opened(kind, server.address, cache=cache, loaders=loaders) as client:
        for _ in range(3):
            found = await client.ask(resolving(KEY))
            assert found.context.user_id == "u"
            assert found.context.llm_config == {"model": "m"}
            assert found.context.rag_config == {"top_k": 3}
    assert (agent.calls, collection.calls) == ([AGENT], [COLLECTION])


@each_kind
@each_cache
async def test_a_missing_entry_is_made(
    server: Server, kind: Kind, cache: CacheOptions | None
) -> None:
    """A missing head is created by its loader, also again after an Invalidate."""
    factory = Factory(ExecutionContext(llm_config={"model": "m"}))
    loaders = {"agent_config": factory.of(kind)}
    async with opened(kind, server.address, cache=cache, loaders=loaders) as client:
        assert (await client.ask(resolving(AGENT))).context.llm_config == {"model": "m"}
        for times in (2, 3):
            await client.ask(lambda client: client.invalidate(AGENT))
            assert (await client.ask(resolving(AGENT))).context.llm_config == {"model": "m"}
            assert len(factory.calls) == times


def hears_nothing(_: NearCache, __: object) -> bool:
    """Ignore all messages of the stream."""
    return False


@each_kind
async def test_what_the_store_denies_is_made(
    server: Server, owner: Either, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that the store reports as missing is created, though the cache still has it."""
    factory = Factory(ExecutionContext(llm_config={"model": "m"}))
    loaders = {"agent_config": factory.of(kind)}
    async with opened(kind, server.address, cache=CacheOptions(), loaders=loaders) as client:
        await client.ask(resolving(AGENT))
        before = await client.local(AGENT)
        monkeypatch.setattr(NearCache, "received", hears_nothing)
        await owner.ask(lambda client: client.invalidate(AGENT))
        found = await client.ask(lambda client: client.resolve(AGENT, fresh=True))
        assert found.version > before.version
    assert factory.calls == [AGENT, AGENT]


@each_kind
async def test_a_scope_without_a_loader(server: Server, owner: Either, kind: Kind) -> None:
    """If one missing entry has no loader, the resolution fails, and no loader is called."""
    del owner
    agent = Factory(ExecutionContext())
    async with opened(kind, server.address, loaders={"agent_config": agent.of(kind)}) as client:
        error = await client.raised(resolving(KEY))
        assert isinstance(error, IncompleteContextError)
        assert error.missing == (AGENT.text, COLLECTION.text)
        error = await client.raised(resolving(ContextKey("conversation", "acme", "none")))
        assert isinstance(error, NotFoundError)
    assert agent.calls == []


@each_kind
async def test_a_loader_that_fails(
    server: Server, owner: Either, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """If a loader fails, the context is incomplete. The log has the cause's place, not its text."""
    await owner.ask(lambda client: client.put(COLLECTION, ExecutionContext()))
    agent = Factory(RuntimeError("s3cret"))
    async with opened(kind, server.address, loaders={"agent_config": agent.of(kind)}) as client:
        error = await client.raised(resolving(KEY))
    assert isinstance(error, IncompleteContextError)
    assert isinstance(error.__cause__, RuntimeError)
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.getMessage().startswith(f"{AGENT.text} was not made: RuntimeError in ")
    assert "/factories.py:" in record.getMessage()
    assert "s3cret" not in caplog.text


@pytest.mark.timing
@each_kind
async def test_a_loader_that_is_slow(server: Server, kind: Kind) -> None:
    """`resolve` ends at its timeout; a later result of the loader is stored for other callers."""
    agent = Factory(ExecutionContext(user_id="made"), waits=True)
    async with opened(kind, server.address, loaders={"agent_config": agent.of(kind)}) as client:
        begun = time.monotonic()
        error = await client.raised(resolving(AGENT, timeout=0.2))
        assert time.monotonic() - begun < 2
        assert (type(error), error.reason) == (UnavailableError, "DEADLINE_EXCEEDED")
        agent.let.set()
        assert (await client.ask(resolving(AGENT))).context.user_id == "made"
    assert agent.calls == [AGENT]


@pytest.mark.parametrize("kind", [AsyncContextClient, ContextClient])
def test_a_scope_has_a_name(kind: Any) -> None:
    """A loader for an empty scope is refused when the client is created."""
    with pytest.raises(InvalidFieldError, match="loaders"):
        kind("127.0.0.1:1", loaders={"": print})


@pytest.mark.timing
@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_one_process_renews(settings: Settings) -> None:
    """In the last fifth of an entry's time, one of several processes renews it.

    The others continue with the old entry; it is never missing (`peek` would show it).
    """
    lifetime = 5.0  # a fifth of it is longer than a machine pauses
    # The known end of an entry is as exact as its client's pings are frequent.
    cache = CacheOptions(max_staleness=0.8)

    async def renewed(kind: Kind, server: Server) -> None:
        made = iter(range(1000))
        factory = Factory(lambda: ExecutionContext(user_id=str(next(made))))
        loaders = {"agent_config": factory.of(kind)}
        key = ContextKey("agent_config", "acme", kind)
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    opened(kind, server.address, timeout=10, cache=cache, loaders=loaders)
                )
                for _ in range(4)
            ]
            await clients[0].ask(resolving(key))
            for client in clients:
                await client.local(key)
            begun = time.monotonic()
            seen: list[ContextEntry | None] = []
            while time.monotonic() - begun < 2.1 * lifetime:
                seen += [client.peek(key) for client in clients]
                await asyncio.sleep(0.01)
            # One call at first, then one per four fifths of the time.
            assert 3 <= len(factory.calls) <= 4
        assert len({entry.version for entry in seen if entry}) >= 3

    ttl = Ttl(scopes={"agent_config": lifetime})
    async with Server(settings.model_copy(update={"ttl": ttl})) as server:
        # Both kinds at once: the time is long, and most of it is a wait.
        await asyncio.gather(*(renewed(kind, server) for kind in KINDS))


@each_kind
async def test_a_renewal_that_fails(
    settings: Settings, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """If a renewal fails, the entry lives to its end; the failure is logged, and tried again."""
    made = iter([ExecutionContext(user_id="first")])

    def make() -> ExecutionContext:
        for context in made:
            return context
        raise RuntimeError("s3cret")

    factory = Factory(make)
    ttl = Ttl(scopes={"agent_config": 5.0})
    loaders = {"agent_config": factory.of(kind)}
    async with (
        Server(settings.model_copy(update={"ttl": ttl})) as server,
        opened(kind, server.address, cache=CacheOptions(), loaders=loaders) as client,
    ):
        await client.ask(resolving(AGENT))
        await client.local(AGENT)

        async def is_tried_again() -> bool:
            client.peek(AGENT)
            return len(factory.calls) >= 3

        await until_async(is_tried_again, within=15)
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert told
    assert all(f"{AGENT.text} was not made: RuntimeError in " in text for text in told)


@each_kind
async def test_what_a_process_writes_it_sees(server: Server, kind: Kind) -> None:
    """After its own Put or Invalidate, a client uses no older cached entry, fenced or not."""
    async with opened(kind, server.address, timeout=10, cache=CacheOptions()) as client:
        for i in range(50):
            await client.ask(putting(str(i)))
            found = await client.ask(resolving(KEY))
            assert found.context.user_id == str(i)
            await client.local(KEY)
            await client.ask(lambda each: each.invalidate(KEY))
            error = await client.raised(resolving(KEY))
            assert isinstance(error, NotFoundError)
