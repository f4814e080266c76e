"""A context survives the store: a client reads what any client has put."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1 import context_pb2, store_pb2
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext
from support.clients.calls import Stub
from support.exact import as_read, exactly
from support.strategies import key_parts, on_real_servers, sections, texts

SECTIONS = "llm_config", "embedding_config", "rag_config", "agent_config", "metadata", "rate_limits"
IDENTITY = "context_id", "agent_id", "tenant_tier", "conversation_id", "session_id", "user_id"

fields_of_contexts = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(IDENTITY, texts),
        "tenant_id": st.sampled_from(["", "acme"]),
        **dict.fromkeys(SECTIONS, sections),
        "includes": st.lists(
            st.builds(ContextKey, key_parts, st.just("acme"), key_parts), unique=True, max_size=16
        ),
        "created_at": st.datetimes(timezones=st.just(UTC)),
    },
)

# Field 1000, "future", which this version of the contract does not know.
FUTURE = b"\xc2\x3e\x06future"


@on_real_servers
@given(fields=fields_of_contexts)
async def test_contexts_survive_the_store(
    client: AsyncContextClient, key: ContextKey, fields: dict[str, Any]
) -> None:
    """Every context is returned as it was put, and the store sets the times that were omitted."""
    context = ExecutionContext(**fields)
    await client.invalidate(key)
    ref = await client.put(key, context)
    entry = await client.get(key)
    assert entry.key == key
    assert entry.version == ref.revision
    for name in SECTIONS:
        assert exactly(getattr(entry.context, name), as_read(getattr(context, name)))
    assert entry.context.updated_at is not None
    assert entry.context.created_at == (context.created_at or entry.context.updated_at)
    expected = context.update(
        created_at=entry.context.created_at, updated_at=entry.context.updated_at
    )
    assert entry.context == expected


@on_real_servers
@given(fields=fields_of_contexts)
async def test_what_was_read_can_be_put_again(
    client: AsyncContextClient, key: ContextKey, fields: dict[str, Any]
) -> None:
    """A context that was read can be put again; only its update time changes."""
    await client.put(key, ExecutionContext(**fields))
    first = (await client.get(key)).context
    await client.put(key, first)
    second = (await client.get(key)).context
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at >= first.updated_at
    assert second.update(updated_at=first.updated_at) == first


async def test_the_store_tells_when(client: AsyncContextClient, key: ContextKey) -> None:
    """The store sets the times: of the entry's creation, and of its last write."""
    before = datetime.now(UTC)
    await client.put(key, ExecutionContext())
    first = (await client.get(key)).context
    await client.update(key, {"user_id": "u"})
    second = (await client.get(key)).context
    assert first.created_at == first.updated_at == second.created_at
    assert first.created_at is not None
    assert second.updated_at is not None
    assert abs((first.created_at - before).total_seconds()) < 60
    assert second.updated_at >= first.created_at


async def test_unknown_fields_pass_through(
    stub: Stub, client: AsyncContextClient, key: ContextKey
) -> None:
    """An older client changes a context of a newer contract, and keeps its unknown fields."""
    context = context_pb2.ExecutionContext.FromString(FUTURE)
    context.user_id = "u1"
    await stub.Put(store_pb2.PutRequest(key=key.to_message(), context=context))

    read = (await client.get(key)).context
    await client.put(key, read.update(user_id="u2"))
    assert await unknown(stub, key) == [(1000, b"future")]
    await client.update(key, {"user_id": "u3"})
    assert await unknown(stub, key) == [(1000, b"future")]
    assert (await client.resolve(key)).context.user_id == "u3"


async def test_composed_contexts_keep_unknown_fields(
    stub: Stub, client: AsyncContextClient, key: ContextKey
) -> None:
    """A composed context keeps the head's unknown fields."""
    layer = ContextKey("agent_config", "acme", "a")
    await client.put(layer, ExecutionContext(llm_config={"model": "m"}))
    context = context_pb2.ExecutionContext.FromString(FUTURE)
    context.includes.append(layer.to_message())
    await stub.Put(store_pb2.PutRequest(key=key.to_message(), context=context))

    composed = (await client.resolve(key)).context
    await client.put(key, composed.update(includes=()))
    assert await unknown(stub, key) == [(1000, b"future")]
    assert (await client.get(key)).context.llm_config == {"model": "m"}


async def unknown(stub: Stub, key: ContextKey) -> list[tuple[int, bytes]]:
    """The unknown fields of the stored context."""
    response = await stub.Get(store_pb2.GetRequest(key=key.to_message()))
    fields = UnknownFieldSet(response.entry.context)
    return [(fields[i].field_number, fields[i].data) for i in range(len(fields))]
