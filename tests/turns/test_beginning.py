"""How turns begin: warm with nothing sent, cold with one call, new ones with as few as possible."""

import asyncio
import time
from typing import Any

import pytest
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextRef,
    ContextSource,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
    StoreBehindError,
    current_context,
    current_ref,
    require_entry,
    use_context,
)
from relevo_client.testing import LocalStore
from relevo_server.server import Server
from support.clients.either import KEY, Either, opened
from support.clients.turning import AGENT, LARGE, Held, Sent, factory_for, turn_of, write
from support.servers.shapes import Kind
from support.waiting import until_async


async def test_a_warm_turn_waits_for_nothing(
    client: Either, entry: ContextEntry, held: Held, sent: Sent
) -> None:
    """With the context in the cache a turn begins at once, and its snapshot is put meanwhile."""
    held.may_go_on.clear()
    sent.clear()
    taken = await turn_of(client)
    assert (taken.key, taken.version, taken.revision) == (entry.snapshot_key, 0, entry.revision)
    assert taken.context.llm_config == {"model": "old", "top_p": 2}
    assert not taken.is_stale
    await until_async(lambda: held.waiting, what="the snapshot to be put")
    assert sent.calls == ["put"]
    held.may_go_on.set()


async def test_a_turn_of_an_entry(
    client: Either, other: Either, entry: ContextEntry, sent: Sent
) -> None:
    """A turn that begins with a resolved entry has it as it is, whatever has changed since."""
    await write(other, rag_config={"top_k": 3})
    sent.clear()
    taken = await client.ask(lambda c: c.turn_entry(entry))
    assert (taken.key, taken.revision) == (entry.snapshot_key, entry.revision)
    assert taken.context.llm_config == {"model": "old", "top_p": 2}
    assert not taken.context.rag_config
    assert set(sent.calls) <= {"put"}


async def test_one_put_for_all_turns_of_a_state(
    client: Either, entry: ContextEntry, held: Held, sent: Sent
) -> None:
    """Turns that begin while the snapshot is put, and after that, send nothing of their own."""
    held.may_go_on.clear()
    sent.clear()
    taken = await asyncio.gather(*[turn_of(client) for _ in range(5)])
    assert all(each is taken[0] for each in taken)
    await until_async(lambda: held.waiting)
    held.may_go_on.set()
    stored = await client.local(entry.snapshot_key)
    assert [(await turn_of(client)) for _ in range(3)] == [stored] * 3
    assert sent.calls == ["put"]


async def test_what_a_turn_began_with_is_stored(
    client: Either, entry: ContextEntry, other: Either
) -> None:
    """Another process resolves the reference of a turn that has just begun, and never fails."""
    taken = await turn_of(client)
    found = await other.ask(lambda c: c.resolve(taken.ref))
    assert (found.key, found.context.llm_config) == (entry.snapshot_key, taken.context.llm_config)


async def test_a_callee_may_ask_before_the_snapshot_is_stored(
    client: Either, entry: ContextEntry, other: Either, held: Held
) -> None:
    """The store has patience with a snapshot that is on its way, again and again."""
    held.may_go_on.clear()
    taken = await turn_of(client)
    await until_async(lambda: held.waiting)
    asked = [asyncio.create_task(other.ask(lambda c: c.resolve(taken.ref))) for _ in range(2)]
    await asyncio.sleep(0)
    held.may_go_on.set()
    assert [found.key for found in await asyncio.gather(*asked)] == [entry.snapshot_key] * 2


async def test_an_absent_snapshot_is_asked_for_each_time(
    client: Either, other: Either, entry: ContextEntry
) -> None:
    """What the cache heard of a snapshot before it was stored does not count as an answer."""
    key = entry.snapshot_key
    with pytest.raises(NotFoundError):
        await other.ask(lambda c: c.resolve(key))
    taken = await turn_of(client)
    found = await other.ask(lambda c: c.resolve(taken.ref))
    assert found.key == key


@pytest.mark.parametrize("section", [{}, LARGE], ids=["small", "large"])
async def test_a_cold_turn_asks_once(
    client: Either, other: Either, sent: Sent, section: dict[str, Any]
) -> None:
    """Without the context in the cache, one call reads, composes and stores."""
    await write(other, agent_config=section)
    sent.clear()
    taken = await turn_of(client)
    assert sent.calls == ["snapshot"]
    resolved = await other.ask(lambda c: c.resolve(KEY, fresh=True))
    assert taken.key == resolved.snapshot_key
    assert taken.source is ContextSource.STORE
    assert (await other.ask(lambda c: c.get(taken.key))).version == taken.version > 0
    sent.clear()
    await client.local(KEY)
    assert (await turn_of(client)).key == taken.key
    assert sent.calls == []


async def test_what_cannot_travel_is_stored_first(
    client: Either, other: Either, held: Held, sent: Sent
) -> None:
    """A turn whose snapshot is too large for its calls waits until the store has it."""
    await write(client, agent_config=LARGE)
    await client.ask(lambda c: c.resolve(KEY))
    await client.local(KEY)
    held.may_go_on.clear()
    sent.clear()
    raised = await client.raised(lambda c: c.turn_entry(KEY, timeout=0.05))
    assert raised.reason == "DEADLINE_EXCEEDED"
    held.may_go_on.set()
    taken = await turn_of(client)
    assert taken.version > 0
    assert sent.calls == ["put"]
    assert (await other.ask(lambda c: c.resolve(taken.ref))).version == taken.version


async def test_a_conversation_begins(
    client: Either, other: Either, kind: Kind, sent: Sent, held: Held
) -> None:
    """`begin` creates what does not exist: asked, leased and put. Its snapshot is put meanwhile."""
    await other.ask(lambda c: c.put(AGENT, ExecutionContext(llm_config={"model": "m"})))
    begin = factory_for(kind, ExecutionContext(user_id="new", includes=(AGENT,)))
    held.may_go_on.clear()
    sent.clear()
    taken = await turn_of(client, begin=begin)
    await until_async(lambda: held.waiting, what="the snapshot to be put")
    assert sent.calls == ["snapshot", "lease", "put", "put"]
    held.may_go_on.set()
    assert (taken.context.user_id, taken.context.llm_config) == ("new", {"model": "m"})
    assert taken.source is ContextSource.LOADER
    sent.clear()
    assert (await turn_of(other, begin=begin)).key == taken.key
    assert sent.calls == ["snapshot"]


async def test_who_knows_of_no_conversation_does_not_ask(
    client: Either, kind: Kind, sent: Sent, held: Held
) -> None:
    """If the cache knows that there is no entry, the lease is the first call."""
    with pytest.raises(NotFoundError):
        await client.ask(lambda c: c.resolve(KEY))
    await client.absent(KEY)
    sent.clear()
    begin = factory_for(kind, ExecutionContext(user_id="new"))
    held.may_go_on.clear()
    assert (await turn_of(client, begin=begin)).context.user_id == "new"
    await until_async(lambda: held.waiting, what="the snapshot to be put")
    assert sent.calls == ["lease", "put", "put"]
    held.may_go_on.set()


async def test_many_turns_begin_one_conversation(
    client: Either, kind: Kind, sent: Sent, held: Held
) -> None:
    """Turns that begin together create the conversation once, and put its snapshot once."""
    begin = factory_for(kind, ExecutionContext(user_id="new"))
    held.may_go_on.clear()
    sent.clear()
    taken = await asyncio.gather(*[turn_of(client, begin=begin) for _ in range(4)])
    assert {each.key for each in taken} == {taken[0].key}
    await until_async(lambda: held.waiting, what="the snapshot to be put")
    assert (sent.calls.count("lease"), sent.calls.count("put")) == (1, 2)
    held.may_go_on.set()


async def test_a_store_that_has_lost_its_data(client: Either, kind: Kind) -> None:
    """Who has a fence of before begins anew: the store is behind it until somebody writes."""
    fence = ContextRef(KEY, time.time_ns() // 1_000_000 << 20)
    assert isinstance(await client.raised(lambda c: c.turn_entry(fence)), StoreBehindError)
    begin = factory_for(kind, ExecutionContext(user_id="new"))
    taken = await turn_of(client, fence, begin=begin)
    assert (taken.context.user_id, taken.revision > fence.revision) == ("new", True)


async def test_what_is_missing_is_named(client: Either) -> None:
    """Without an entry or without a layer, a turn raises what `resolve` raises."""
    assert isinstance(await client.raised(lambda c: c.turn_entry(KEY)), NotFoundError)
    await client.ask(lambda c: c.put(KEY, ExecutionContext(includes=(AGENT,))))
    raised = await client.raised(lambda c: c.turn_entry(KEY))
    assert isinstance(raised, IncompleteContextError)
    assert (raised.key, raised.missing) == (KEY.text, (AGENT.text,))


async def test_missing_layers_are_loaded(server: Server, kind: Kind, sent: Sent) -> None:
    """A loader makes a missing layer; the snapshot has it."""
    load = factory_for(kind, ExecutionContext(llm_config={"model": "loaded"}))
    loaders = {AGENT.scope: load}
    async with opened(kind, server.address, timeout=10, loaders=loaders) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext(includes=(AGENT,))))
        sent.clear()
        taken = await turn_of(client)
    assert taken.context.llm_config == {"model": "loaded"}
    assert sent.calls == ["snapshot", "lease", "put", "snapshot"]


async def test_a_turn_sees_at_least_its_fence(client: Either, other: Either) -> None:
    """The turn of a reference is as new as the reference, whatever the cache has."""
    await write(client)
    await client.ask(lambda c: c.resolve(KEY))
    await client.local(KEY)
    ref = await other.ask(lambda c: c.update(AGENT, {"llm_config": {"model": "new"}}))
    target = ContextRef(KEY, ref.revision)
    taken = await turn_of(client, target)
    assert taken.context.llm_config["model"] == "new"
    assert taken.revision >= ref.revision


async def test_a_snapshot_is_its_own_turn(
    client: Either, other: Either, entry: ContextEntry, sent: Sent
) -> None:
    """A turn of a snapshot's reference works with that snapshot, and stores none."""
    taken = await client.ask(lambda c: c.snapshot(entry))
    sent.clear()
    assert (await turn_of(other, taken.ref)).key == taken.key
    assert sent.calls == ["get"]


async def test_without_a_cache(server: Server, kind: Kind, sent: Sent) -> None:
    """A client without a cache asks once for each turn."""
    async with opened(kind, server.address, timeout=10, cache=None) as client:
        await write(client)
        sent.clear()
        first, second = await turn_of(client), await turn_of(client)
    assert (first.key, first.version) == (second.key, second.version)
    assert sent.calls == ["snapshot", "snapshot"]


async def test_the_block_of_an_asyncio_turn(server: Server) -> None:
    """Within the block the snapshot is current; after it, what was current before."""
    outer = ExecutionContext(user_id="outer")
    async with AsyncContextClient(server.address, timeout=10) as contexts:
        await contexts.put(KEY, ExecutionContext(user_id="u"))
        with use_context(outer):
            async with contexts.turn(KEY) as context:
                assert current_context() is context
                assert context.user_id == "u"
                assert current_ref() == require_entry().ref
                assert require_entry().key.scope == "snapshot"
            assert current_context() is outer
            with pytest.raises(ZeroDivisionError):
                async with contexts.turn(KEY):
                    raise ZeroDivisionError
            assert current_context() is outer


def test_the_block_of_a_blocking_turn() -> None:
    """The same for threads."""
    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext(user_id="u"))
        with store.client.turn(KEY) as context:
            assert (current_context(), context.user_id) == (context, "u")
        assert current_context() is None
