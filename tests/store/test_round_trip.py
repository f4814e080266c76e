"""A Get returns what was put: every value, and fields that the server does not know."""

from google.protobuf.unknown_fields import UnknownFieldSet
from relevo.v1.context_pb2 import ContextKey, ExecutionContext
from relevo_server.keys import Key
from relevo_server.storage import Storage
from support.clients.calls import Stub, context, get, key, masked, put

WHOLE = context(
    context_id="ctx-1",
    tenant_id="acme",
    agent_id="a1",
    tenant_tier="enterprise",
    conversation_id="c1",
    session_id="s1",
    user_id="größe 😀",
    llm_config={"temperature": 0.1, "max_tokens": 2**53, "seed": -(2**53), "stop": []},
    embedding_config={"": "an empty key", "a.b": {"c`d": None}},
    rag_config={"deep": [[[{"x": [True, False, None, "s", 1.5]}]]], "empty": {}},
    agent_config={"tiny": 5e-324, "huge": 1.7976931348623157e308, "zero": -0.0},
    metadata={"text": "line\nline\ttab \0 nul", "unicode": "日本語\u2028"},
    rate_limits={},
    includes=[key("a1", scope="agent_config")],
)

# Field 100, a text, and field 101, a number, stand for fields of a newer contract.
NEWER = b"\xa2\x06\x05newer" + b"\xa8\x06\x2a"


def as_put(found: ExecutionContext) -> ExecutionContext:
    """A read context without the times that the store adds."""
    found.ClearField("create_time")
    found.ClearField("update_time")
    return found


async def test_every_value_comes_back(stub: Stub) -> None:
    """Every field, and every kind of value in a section, is returned as it was put."""
    await put(stub, key(), WHOLE)
    found = as_put((await get(stub, key())).entry.context)
    assert found == WHOLE
    assert str(found.agent_config["zero"]) == "-0.0"
    assert found.HasField("rate_limits")


async def test_nothing_comes_back_as_nothing(stub: Stub) -> None:
    """An empty context is a context, and a section that was not put is absent."""
    await put(stub, key())
    found = (await get(stub, key())).entry
    assert found.HasField("context")
    assert as_put(found.context) == ExecutionContext()
    assert not found.context.HasField("llm_config")


def unknown_numbers(message: ExecutionContext | ContextKey) -> list[int]:
    """The numbers of a message's unknown fields."""
    fields = UnknownFieldSet(message)
    return [fields[i].field_number for i in range(len(fields))]


async def test_unknown_fields_survive(stub: Stub) -> None:
    """Fields that the server does not know are kept, in a context and in its nested messages."""
    newer = ExecutionContext.FromString(WHOLE.SerializeToString() + NEWER)
    newer.includes[0].MergeFromString(NEWER)
    await put(stub, key(), newer)
    found = (await get(stub, key())).entry.context
    assert unknown_numbers(found) == [100, 101]
    assert unknown_numbers(found.includes[0]) == [100, 101]
    assert as_put(found) == newer


async def test_unknown_fields_survive_a_mask(stub: Stub) -> None:
    """A masked Put keeps the entry's unknown fields."""
    newer = ExecutionContext.FromString(WHOLE.SerializeToString() + NEWER)
    await put(stub, key(), newer)
    await put(stub, key(), context(llm_config={"a": 1}), update_mask=masked("llm_config.a"))
    found = (await get(stub, key())).entry.context
    assert unknown_numbers(found) == [100, 101]


async def test_unknown_fields_survive_in_layers(stub: Stub) -> None:
    """A layer's unknown fields are returned too."""
    agent = key("a1", scope="agent_config")
    await put(stub, agent, ExecutionContext.FromString(NEWER))
    await put(stub, key(), WHOLE)
    answer = await get(stub, key(), include_layers=True)
    assert unknown_numbers(answer.layers[0].context) == [100, 101]


async def test_a_context_is_kept_as_protobuf(storage: Storage, storage_stub: Stub) -> None:
    """The backend holds the serialized message, without the store's own times."""
    await put(storage_stub, key(), WHOLE)
    read = await storage.read([Key("conversation", "acme", "c1")])
    assert read.entries[0] is not None
    assert ExecutionContext.FromString(read.entries[0].context or b"") == WHOLE
