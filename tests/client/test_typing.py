"""The types of the public face, as mypy and pyright see them: they read this file too."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    Invalidation,
    RelevoError,
    current_context,
    current_entry,
    current_ref,
    require_context,
    use_context,
)


async def test_the_client(client: AsyncContextClient, key: ContextKey) -> None:
    """The methods take and return the public types, nothing partly known."""

    async def factory(key: ContextKey) -> ExecutionContext:
        return ExecutionContext(user_id=key.id)

    assert_type(await client.put(key, ExecutionContext(), ttl=60), ContextRef)
    assert_type(await client.update(key, {"user_id": "u"}, ttl=timedelta(minutes=1)), ContextRef)
    assert_type(await client.get(key), ContextEntry)
    assert_type(await client.resolve(ContextRef(key, 0)), ContextEntry)
    assert_type(await client.get_or_create(key, factory), ContextEntry)
    assert_type(await client.batch_get([key]), list[ContextEntry | RelevoError])
    assert_type(await client.invalidate(key), Invalidation)
    assert_type(await client.invalidate_tenant("acme"), Invalidation)
    async with client as same:
        assert_type(same, AsyncContextClient)


async def test_values(client: AsyncContextClient, key: ContextKey) -> None:
    """Contexts and entries have typed fields; sections are mappings that cannot be set."""
    ref = await client.put(key, ExecutionContext(llm_config={"model": "m"}))
    assert_type(ref.revision, int)
    entry = await client.get(key)
    assert_type(entry.context, ExecutionContext)
    assert_type(entry.context.llm_config, Mapping[str, Any])
    assert_type(entry.context.includes, tuple[ContextKey, ...])
    assert_type(entry.context.created_at, datetime | None)
    assert_type(entry.context.update(user_id="u"), ExecutionContext)
    assert_type(entry.ref, ContextRef)
    assert_type(entry.layers, tuple[ContextEntry, ...])


async def test_what_is_current(client: AsyncContextClient, key: ContextKey) -> None:
    """What is current may be nothing, except where it is required."""
    await client.put(key, ExecutionContext())
    with use_context(await client.get(key)) as context:
        assert_type(context, ExecutionContext | None)
        assert_type(current_context(), ExecutionContext | None)
        assert_type(current_entry(), ContextEntry | None)
        assert_type(current_ref(), ContextRef | None)
        assert_type(require_context(), ExecutionContext)
