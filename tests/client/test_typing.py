"""The public types, as mypy and pyright see them: they check this file, too."""

from collections.abc import AsyncGenerator, Generator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, assert_type

import pytest
from pydantic import BaseModel
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
    require_entry,
    require_ref,
    settings,
    use_context,
    wrap,
)


async def test_the_client(client: AsyncContextClient, key: ContextKey) -> None:
    """The methods accept and return the public types, none of them partly unknown."""

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
    """The current values may be None, except for the `require_` functions."""
    await client.put(key, ExecutionContext())
    with use_context(await client.get(key)) as context:
        assert_type(context, ExecutionContext)
    with use_context(ExecutionContext()) as context:
        assert_type(context, ExecutionContext)
    with use_context(None) as nothing:
        assert_type(nothing, None)
    maybe: ContextEntry | ExecutionContext | None = client.peek(key)
    with use_context(maybe) as perhaps:
        assert_type(perhaps, ExecutionContext | None)
    with use_context(await client.get(key)):
        assert_type(current_context(), ExecutionContext | None)
        assert_type(current_entry(), ContextEntry | None)
        assert_type(current_ref(), ContextRef | None)
        assert_type(require_context(), ExecutionContext)
        assert_type(require_entry(), ContextEntry)
        assert_type(require_ref(), ContextRef)


class RagConfig(BaseModel):
    """A model of a section."""

    top_k: int


def test_sections() -> None:
    """A section is of the model's type; what is no model is refused."""
    with use_context(ExecutionContext(rag_config={"top_k": 5})) as context:
        assert_type(context.section("rag_config", RagConfig), RagConfig)
        assert_type(settings(RagConfig), RagConfig)
        assert_type(settings(RagConfig, "rag_config").top_k, int)
        with pytest.raises(TypeError):
            context.section("rag_config", dict)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


class Work:
    """A callable object."""

    async def __call__(self, number: int) -> str:
        """Return a text."""
        return str(number)


async def test_what_is_wrapped() -> None:
    """A wrapped function has the same type as the function itself, of any kind."""

    def plain(number: int, *, name: str = "") -> str:
        return f"{number}{name}"

    async def coroutine(number: int) -> str:
        return str(number)

    def generator(number: int) -> Generator[int, str, bool]:
        yield number
        return True

    async def async_generator(number: int) -> AsyncGenerator[int, str]:
        yield number

    assert_type(wrap(plain)(1, name="a"), str)
    assert_type(wrap(partial(plain, 1))(), str)
    assert_type(wrap(generator)(number=1), Generator[int, str, bool])
    assert_type(wrap(async_generator)(number=1), AsyncGenerator[int, str])
    assert_type(await wrap(coroutine)(1), str)
    assert_type(await wrap(Work())(number=1), str)
    # The type checkers report wrong calls, as without `wrap`.
    with pytest.raises(TypeError):
        wrap(plain)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
