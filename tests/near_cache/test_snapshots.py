"""Snapshots and fresh resolutions: the fixed state that an agent's turn works with."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from relevo_client import (
    ContextEntry,
    ContextKey,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
)
from relevo_server.server import Server
from support.clients.either import KEY, Ask, Either, opened
from support.servers.shapes import Kind

AGENT = ContextKey("agent_config", "acme", "a1")


@pytest.fixture
async def entry(client: Either) -> ContextEntry:
    """A conversation that includes an agent."""
    agent = ExecutionContext(llm_config={"model": "old", "top_p": 1})
    await client.ask(lambda c: c.put(AGENT, agent))
    head = ExecutionContext(user_id="u", llm_config={"top_p": 2}, includes=(AGENT,))
    await client.ask(lambda c: c.put(KEY, head))
    entry: ContextEntry = await client.ask(lambda c: c.resolve(KEY))
    return entry


async def change(server: Server, kind: Kind) -> None:
    """Another process changes the agent."""
    async with opened(kind, server.address, timeout=10) as other:
        await other.ask(lambda c: c.update(AGENT, {"llm_config": {"model": "new"}}))


async def test_a_snapshot_stays_as_it_is(
    server: Server, kind: Kind, client: Either, entry: ContextEntry
) -> None:
    """A snapshot's reference always resolves to the same context, whatever changes later."""
    taken = await client.ask(lambda c: c.snapshot(entry))
    await change(server, kind)
    async with opened(kind, server.address, timeout=10) as other:
        found = await other.ask(lambda c: c.resolve(taken.ref))
    assert taken.context.llm_config == found.context.llm_config == {"model": "old", "top_p": 2}
    assert (found.context.user_id, found.context.includes) == ("u", ())
    assert found.version == taken.version


async def test_the_same_state_has_the_same_snapshot(
    server: Server, kind: Kind, client: Either, entry: ContextEntry
) -> None:
    """Two processes that snapshot the same state write one entry."""
    first = await client.ask(lambda c: c.snapshot(entry))
    async with opened(kind, server.address, timeout=10) as other:
        resolved = await other.ask(lambda c: c.resolve(KEY))
        again = await other.ask(lambda c: c.snapshot(resolved))
    assert (again.key, again.version) == (first.key, first.version)
    assert again.context.llm_config == first.context.llm_config


async def test_a_change_makes_another_snapshot(
    server: Server, kind: Kind, client: Either, entry: ContextEntry
) -> None:
    """After a change, also of a layer, a fresh resolution has another snapshot."""
    first = await client.ask(lambda c: c.snapshot(entry))
    await change(server, kind)
    changed = await client.ask(lambda c: c.resolve(KEY, fresh=True))
    second = await client.ask(lambda c: c.snapshot(changed))
    assert second.context.llm_config["model"] == "new"
    assert second.key != first.key


async def test_a_known_snapshot_asks_nobody(client: Either, entry: ContextEntry) -> None:
    """A cached snapshot is returned as the same object each time, without a call."""
    taken = await client.ask(lambda c: c.snapshot(entry))
    await client.local(taken.key)
    assert await client.ask(lambda c: c.snapshot(entry)) is client.peek(taken.key)


async def test_a_snapshot_of_a_long_name(client: Either) -> None:
    """An entry whose id has the maximum length can have snapshots too."""
    key = replace(KEY, id="é" * 128)
    await client.ask(lambda c: c.put(key, ExecutionContext(user_id="u")))
    entry = await client.ask(lambda c: c.resolve(key))
    taken = await client.ask(lambda c: c.snapshot(entry))
    assert taken.context.user_id == "u"
    assert taken.key != (await client.ask(lambda c: c.snapshot(replace(entry, key=KEY)))).key


async def test_no_snapshot_without_its_layers(client: Either, entry: ContextEntry) -> None:
    """`snapshot` refuses an entry from `get`: without layers, it would be a smaller context."""
    bare = await client.ask(lambda c: c.get(entry.key))
    raised = await client.raised(lambda c: c.snapshot(bare))
    assert isinstance(raised, IncompleteContextError)


async def test_its_time_to_live_is_its_own(client: Either, entry: ContextEntry) -> None:
    """`ttl` says how long the snapshot lives."""
    taken = await client.ask(lambda c: c.snapshot(entry, ttl=60))
    assert taken.ttl.total_seconds() == pytest.approx(60, abs=1)


def putting(client: Any, model: str) -> Any:
    """A Put of an agent with this model."""
    return client.update(AGENT, {"llm_config": {"model": model}})


async def test_fresh_sees_what_was_acknowledged(
    server: Server, kind: Kind, client: Either, entry: ContextEntry
) -> None:
    """A fresh resolution shows every change that was acknowledged before it."""
    await client.local(KEY)
    async with opened(kind, server.address, timeout=10, cache=None) as other:
        for turn in range(5):
            await other.ask(partial(putting, model=f"m{turn}"))
            found = await client.ask(lambda c: c.resolve(entry.key, fresh=True))
            assert found.context.llm_config["model"] == f"m{turn}"
        await other.ask(lambda c: c.invalidate(KEY))
        assert isinstance(await client.raised(lambda c: c.resolve(KEY, fresh=True)), NotFoundError)


async def test_what_has_not_changed_is_not_made_again(
    server: Server, kind: Kind, client: Either, entry: ContextEntry
) -> None:
    """A fresh answer equal to the cached entry is the cached context itself, composed once."""
    kept = await client.local(entry.key)
    fresh = await client.ask(lambda c: c.resolve(KEY, fresh=True))
    assert fresh.context is kept.context
    await change(server, kind)
    fresh = await client.ask(lambda c: c.resolve(KEY, fresh=True))
    assert fresh.context.llm_config["model"] == "new"


async def test_a_reference_asks_for_no_more_than_it_needs(client: Either) -> None:
    """The revision of a fresh resolution is that of its newest part, not of other writes."""
    agent = await client.ask(lambda c: c.put(AGENT, ExecutionContext()))
    head = await client.ask(lambda c: c.put(KEY, ExecutionContext(includes=(AGENT,))))
    await client.ask(lambda c: c.put(replace(KEY, id="another"), ExecutionContext()))
    found = await client.ask(lambda c: c.resolve(KEY, fresh=True))
    assert found.revision == head.revision > agent.revision


async def test_what_is_not_the_snapshot_is_refused(client: Either, entry: ContextEntry) -> None:
    """An entry stored under a snapshot's name is used only if it is that snapshot."""
    await client.ask(lambda c: c.put(entry.snapshot_key, ExecutionContext(user_id="stranger")))
    asks: list[Ask] = [
        lambda c: c.resolve(entry.snapshot_key),
        lambda c: c.get(entry.snapshot_key),
        lambda c: c.snapshot(entry),
    ]
    for ask in asks:
        raised = await client.raised(ask)
        assert (raised.reason, raised.metadata) == (
            "CORRUPT_ENTRY",
            {"key": entry.snapshot_key.text},
        )
    (result,) = await client.ask(lambda c: c.batch_get([entry.snapshot_key]))
    assert result.reason == "CORRUPT_ENTRY"
    assert client.peek(entry.snapshot_key) is None


async def test_a_snapshot_says_what_it_was_composed_from(
    client: Either, entry: ContextEntry
) -> None:
    """A snapshot names its entry, and the versions of all its parts."""
    taken = await client.ask(lambda c: c.snapshot(entry))
    (agent,) = entry.layers
    assert [str(ref) for ref in taken.context.composed_from] == [
        f"{KEY}@{entry.version}",
        f"{AGENT}@{agent.version}",
    ]
    assert taken.key == entry.snapshot_key


async def test_a_snapshot_that_has_ended_is_made_again(
    server: Server, kind: Kind, client: Either, entry: ContextEntry
) -> None:
    """If a snapshot was ended, a new snapshot of the same state can be written."""
    first = await client.ask(lambda c: c.snapshot(entry))
    async with opened(kind, server.address, timeout=10, cache=None) as other:
        await other.ask(lambda c: c.invalidate(first.key))
        again = await other.ask(lambda c: c.snapshot(entry))
    assert again.key == first.key
    assert again.version > first.version


async def test_an_absent_snapshot_is_not_known(client: Either, entry: ContextEntry) -> None:
    """That there is no snapshot under a digest is never answered by the cache."""
    name, later = entry.snapshot_key, replace(entry.key, id="asked for later")
    assert client.peek(name) is None
    await client.absent(later)  # answers come in the order of subscriptions
    assert client.peek(name) is None
    assert isinstance(await client.raised(lambda c: c.resolve(name)), NotFoundError)
