"""Composition: a context and its included entries become one context."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
    StoreBehindError,
)
from support.exact import as_read, exactly
from support.strategies import json_values, on_real_servers

SECTIONS = "llm_config", "embedding_config", "rag_config", "agent_config", "metadata", "rate_limits"
AGENT = ContextKey("agent_config", "acme", "support")
MANUALS = ContextKey("collection_config", "acme", "manuals")
TICKETS = ContextKey("collection_config", "acme", "tickets")

# Few names, so that the parts share keys.
few_keys = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)
few_sections = st.dictionaries(st.sampled_from(SECTIONS), few_keys, max_size=4)


def composed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The definition of composition: in each section, the last part wins for each key."""
    return {
        section: {key: value for part in parts for key, value in part.get(section, {}).items()}
        for section in SECTIONS
    }


@on_real_servers
@given(layers=st.lists(few_sections, max_size=4), head=few_sections)
async def test_composition_is_section_by_section_key_by_key(
    client: AsyncContextClient,
    key: ContextKey,
    layers: list[dict[str, Any]],
    head: dict[str, Any],
) -> None:
    """Layers in the order of `includes`, the head last; values are never merged further."""
    includes = tuple(ContextKey("agent_config", "acme", str(i)) for i in range(len(layers)))
    for include, layer in zip(includes, layers, strict=True):
        await client.put(include, ExecutionContext(**layer))
    await client.put(key, ExecutionContext(includes=includes, **head))
    context = (await client.resolve(key)).context
    expected = as_read(composed([*layers, head]))
    assert exactly({section: getattr(context, section) for section in SECTIONS}, expected)


async def test_order_of_includes_counts(client: AsyncContextClient, key: ContextKey) -> None:
    """A later include wins over an earlier one, whichever was written last."""
    await client.put(TICKETS, ExecutionContext(rag_config={"top_k": 2, "tickets": True}))
    await client.put(MANUALS, ExecutionContext(rag_config={"top_k": 1, "manuals": True}))
    for includes, top_k in (((MANUALS, TICKETS), 2), ((TICKETS, MANUALS), 1)):
        await client.put(key, ExecutionContext(includes=includes))
        rag_config = (await client.resolve(key)).context.rag_config
        assert rag_config == {"top_k": top_k, "tickets": True, "manuals": True}


async def test_identity_is_the_heads_own(client: AsyncContextClient, key: ContextKey) -> None:
    """Identity fields, times and includes are those of the head, even if they are empty."""
    await client.put(
        AGENT, ExecutionContext(user_id="nobody", agent_id="support", agent_config={"p": 1})
    )
    await client.put(key, ExecutionContext(tenant_id="acme", agent_id="billing", includes=(AGENT,)))
    head = (await client.get(key)).context
    assert (await client.resolve(key)).context == head.update(agent_config={"p": 1})


async def test_includes_of_layers_do_not_count(client: AsyncContextClient, key: ContextKey) -> None:
    """Composition is one level deep: a layer's own includes are neither composed nor required."""
    nowhere = ContextKey("agent_config", "acme", "nowhere")
    await client.put(MANUALS, ExecutionContext(rag_config={"from": "manuals"}))
    await client.put(
        AGENT, ExecutionContext(includes=(MANUALS, nowhere), llm_config={"model": "m"})
    )
    await client.put(key, ExecutionContext(includes=(AGENT,)))
    context = (await client.resolve(key)).context
    assert context.llm_config == {"model": "m"}
    assert context.rag_config == {}


async def test_missing_layers_are_named(client: AsyncContextClient, key: ContextKey) -> None:
    """A missing layer makes the context incomplete, never smaller, and the error names it."""
    await client.put(MANUALS, ExecutionContext(rag_config={"top_k": 1}))
    await client.put(key, ExecutionContext(user_id="u", includes=(AGENT, MANUALS, TICKETS)))
    with pytest.raises(IncompleteContextError) as caught:
        await client.resolve(key)
    assert caught.value.missing == (AGENT.text, TICKETS.text)
    assert caught.value.reason == "INCOMPLETE_CONTEXT"
    assert caught.value.metadata == {"key": key.text}
    assert (await client.get(key)).context.user_id == "u"


async def test_an_entry_as_it_was_put(client: AsyncContextClient, key: ContextKey) -> None:
    """`get` returns the head alone; only `resolve` composes, and returns the layers as well."""
    agent = await client.put(AGENT, ExecutionContext(llm_config={"model": "m"}))
    await client.put(key, ExecutionContext(includes=(AGENT,)))
    alone, resolved = await client.get(key), await client.resolve(key)
    assert (alone.context.llm_config, alone.layers) == ({}, ())
    assert resolved.context.llm_config == {"model": "m"}
    (layer,) = resolved.layers
    assert (layer.key, layer.version) == (AGENT, agent.revision)
    assert layer.context.llm_config == {"model": "m"}


async def test_one_write_to_a_layer_changes_every_context(client: AsyncContextClient) -> None:
    """A change of an agent's entry shows at once in every conversation that includes it."""
    await client.put(AGENT, ExecutionContext(llm_config={"model": "old"}))
    heads = [ContextKey("conversation", "acme", f"c-{i}") for i in range(20)]
    for head in heads:
        await client.put(head, ExecutionContext(includes=(AGENT,)))
    ref = await client.put(AGENT, ExecutionContext(llm_config={"model": "new"}))
    for head in heads:
        entry = await client.resolve(ContextRef(head, ref.revision))
        assert entry.context.llm_config == {"model": "new"}


async def test_sixteen_large_layers(client: AsyncContextClient, key: ContextKey) -> None:
    """16 layers of nearly 256 KiB each fit in one answer, which is above gRPC's default limit."""
    includes = tuple(ContextKey("agent_config", "acme", str(i)) for i in range(16))
    for include in includes:
        await client.put(include, ExecutionContext(metadata={include.id: "x" * 262_000}))
    await client.put(key, ExecutionContext(includes=includes, metadata={"head": "x" * 250_000}))
    context = (await client.resolve(key)).context
    assert list(map(len, context.metadata.values())) == [262_000] * 16 + [250_000]


async def test_a_reference_is_a_fence(client: AsyncContextClient, key: ContextKey) -> None:
    """A reference resolves to its revision or a later one, or raises StoreBehindError."""
    first = await client.put(key, ExecutionContext(user_id="u1"))
    second = await client.put(key, ExecutionContext(user_id="u2"))
    for ref in (ContextRef(key), first, second):
        entry = await client.resolve(ref)
        assert entry.context.user_id == "u2"
        assert entry.revision >= second.revision
        assert entry.ref == ContextRef(key, entry.revision)
    with pytest.raises(StoreBehindError) as caught:
        await client.resolve(ContextRef(key, second.revision + 1))
    assert caught.value.reason == "STORE_BEHIND"
    assert caught.value.metadata == {"key": key.text, "revision": str(second.revision)}


async def test_a_context_that_does_not_exist(client: AsyncContextClient, key: ContextKey) -> None:
    """`resolve` of a key without an entry raises NotFoundError."""
    with pytest.raises(NotFoundError):
        await client.resolve(key)


async def test_a_composed_entry_is_one_entry(client: AsyncContextClient, key: ContextKey) -> None:
    """The result of `resolve` has the head's key and version, and frozen sections."""
    await client.put(AGENT, ExecutionContext(llm_config={"stop": ["a"]}))
    put = await client.put(key, ExecutionContext(includes=(AGENT,), llm_config={"n": {"a": 1}}))
    entry = await client.resolve(key)
    assert isinstance(entry, ContextEntry)
    assert (entry.key, entry.version) == (key, put.revision)
    section: Any = entry.context.llm_config
    for change in (section.clear, section["stop"].clear, section["n"].clear):
        with pytest.raises(TypeError):
            change()
