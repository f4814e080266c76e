"""`update` writes parts of a context, and keeps the others."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_client import (
    AsyncContextClient,
    ConflictError,
    ContextKey,
    ExecutionContext,
    InvalidFieldError,
    NotFoundError,
)
from support.exact import as_read, exactly
from support.strategies import json_values, on_real_servers, texts

AGENT = ContextKey("agent_config", "acme", "support")
BEFORE = ExecutionContext(
    user_id="u1",
    agent_id="support",
    llm_config={"model": "m1", "temperature": 0.5, "stop": ["a", "b"], "limits": {"in": 1}},
    rag_config={"top_k": 8},
)


@pytest.fixture
async def entry(client: AsyncContextClient, key: ContextKey) -> ContextKey:
    """An entry to update."""
    await client.put(key, BEFORE)
    return key


async def context_after(
    client: AsyncContextClient, key: ContextKey, *changes: Any, **options: Any
) -> ExecutionContext:
    """The context after an update, without the times."""
    await client.update(key, *changes, **options)
    return (await client.get(key)).context.update(created_at=None, updated_at=None)


async def test_adds_and_replaces(client: AsyncContextClient, entry: ContextKey) -> None:
    """In a section, only the given keys change; each value is replaced as a whole."""
    changes = {
        "user_id": "u2",
        "session_id": "s1",
        "llm_config": {"model": "m2", "limits": {"out": 2}, "top_p": 1.0},
        "metadata": {"new": [None]},
    }
    assert await context_after(client, entry, changes) == BEFORE.update(
        user_id="u2",
        session_id="s1",
        llm_config={
            "model": "m2",
            "temperature": 0.5,
            "stop": ["a", "b"],
            "limits": {"out": 2},
            "top_p": 1,
        },
        metadata={"new": [None]},
    )


async def test_clears(client: AsyncContextClient, entry: ContextKey) -> None:
    """`clear` removes existing fields, sections and keys within sections, at any depth."""
    clear = [
        "user_id",
        "rag_config",
        "llm_config.stop",
        "llm_config.limits.in",
        "llm_config.none",
        "llm_config.model.deeper",
        "metadata",
    ]
    assert await context_after(client, entry, clear=clear) == BEFORE.update(
        user_id="", rag_config={}, llm_config={"model": "m1", "temperature": 0.5, "limits": {}}
    )


async def test_empty_values_are_values(client: AsyncContextClient, entry: ContextKey) -> None:
    """An empty text clears a field; in a section, null, "" and {} are values."""
    changes: dict[str, Any] = {
        "agent_id": "",
        "llm_config": {"model": None, "stop": [], "limits": {}, "new": ""},
    }
    assert await context_after(client, entry, changes) == BEFORE.update(
        agent_id="",
        llm_config={"model": None, "temperature": 0.5, "stop": [], "limits": {}, "new": ""},
    )


async def test_fields_that_are_no_sections(client: AsyncContextClient, entry: ContextKey) -> None:
    """Includes and the creation time are replaced whole."""
    time = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    await client.update(entry, {"includes": [AGENT.text], "created_at": time})
    context = (await client.get(entry)).context
    assert (context.includes, context.created_at) == ((AGENT,), time)
    await client.update(entry, {"includes": []})
    assert (await client.get(entry)).context.includes == ()


names = texts.filter(bool)


@on_real_servers
@given(before=st.dictionaries(names, json_values), after=st.dictionaries(names, json_values))
async def test_any_key_can_be_named(
    client: AsyncContextClient, key: ContextKey, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Any key of a section can be replaced, with dots, backticks or spaces in it."""
    await client.put(key, ExecutionContext(metadata={**before, "rest": 1}))
    await client.update(key, {"metadata": after, "user_id": "u"})
    found = (await client.get(key)).context.metadata
    assert exactly(found, as_read({**before, "rest": 1, **after}))


async def test_a_key_without_letters_can_be_named(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """The empty text is a valid key."""
    await client.put(key, ExecutionContext(metadata={"": 1, "rest": 2}))
    await client.update(key, {"metadata": {"": 3}})
    assert (await client.get(key)).context.metadata == {"": 3, "rest": 2}


@pytest.mark.parametrize(
    "name, path",
    [
        ("top-p", "metadata.`top-p`"),
        ("a.b", "metadata.`a.b`"),
        ("tick`tock", "metadata.`tick``tock`"),
        ("``", "metadata.``````"),
        (" ", "metadata.` `"),
        ("größe", "metadata.`größe`"),
        ("plain_1", "metadata.plain_1"),
        ("plain_1", "metadata.`plain_1`"),
    ],
)
async def test_clears_keys_in_backticks(
    client: AsyncContextClient, key: ContextKey, name: str, path: str
) -> None:
    """A key that is not a plain identifier is cleared in backticks, with backticks doubled."""
    await client.put(key, ExecutionContext(metadata={name: 1, "rest": 2}))
    await client.update(key, clear=[path])
    assert (await client.get(key)).context.metadata == {"rest": 2}


async def test_conditions(client: AsyncContextClient, entry: ContextKey) -> None:
    """An update observes `if_version`."""
    version = (await client.get(entry)).version
    ref = await client.update(entry, {"user_id": "u2"}, if_version=version)
    assert ref.revision > version
    with pytest.raises(ConflictError) as caught:
        await client.update(entry, {"user_id": "u3"}, if_version=version)
    assert caught.value.current_version == ref.revision
    assert (await client.get(entry)).context.user_id == "u2"


async def test_needs_a_live_entry(client: AsyncContextClient, key: ContextKey) -> None:
    """Without a live entry, an update raises NotFoundError."""
    with pytest.raises(NotFoundError):
        await client.update(key, {"user_id": "u"})


@pytest.mark.parametrize(
    "changes, clear, field",
    [
        ({}, (), "changes"),
        ({"llm_config": {}}, (), "changes"),
        ({"usr_id": "u"}, (), "usr_id"),
        ({"user_id": 7}, (), "user_id"),
        ({"user_id": None}, (), "user_id"),
        ({"llm_config": {"a": [0, {"b": float("nan")}]}}, (), "llm_config.a[1].b"),
        ({"llm_config": {"a": ("t",)}}, (), "llm_config.a"),
        ({"includes": ["a:b"]}, (), "includes.0"),
        ({"tenant_id": "globex"}, (), "context.tenant_id"),
        ({"updated_at": datetime(2026, 1, 1, tzinfo=UTC)}, (), "update_mask"),
        ({}, ["usr_id"], "update_mask"),
        ({}, ["user_id.x"], "update_mask"),
        ({}, ["llm_config.top-p"], "update_mask"),
        ({}, ["llm_config.`x"], "update_mask"),
        ({}, [""], "update_mask"),
    ],
    ids=ascii,
)
async def test_malformed_updates_are_refused_by_their_path(
    client: AsyncContextClient, entry: ContextKey, changes: dict[str, Any], clear: Any, field: str
) -> None:
    """A malformed update is refused with the field's path, and nothing is written."""
    with pytest.raises(InvalidFieldError) as caught:
        await client.update(entry, changes, clear=clear)
    assert [path for path, _ in caught.value.violations] == [field]
    found = (await client.get(entry)).context
    assert found.update(created_at=None, updated_at=None) == BEFORE


async def test_many_updates_at_once(client: AsyncContextClient, entry: ContextKey) -> None:
    """Concurrent updates of different keys are all kept."""
    await asyncio.gather(*(client.update(entry, {"metadata": {f"k{i}": i}}) for i in range(20)))
    assert (await client.get(entry)).context.metadata == {f"k{i}": i for i in range(20)}
