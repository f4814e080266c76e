"""Explain: every value of a context with the entry and the version that it came from."""

import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import ExplainRequest, ExplainResponse
from relevo.v1.context_pb2 import ContextKey
from relevo_server.keys import Key
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from relevo_server.storage.interface import Write
from support.clients.admin import AdminStub, admin_of
from support.clients.calls import TIMEOUT, Stub, context, get, invalidate, key, put
from support.failures import failure_of
from support.servers.serving import stub_of

LAYERS = [key("a1", scope="agent_config"), key("d1", scope="defaults")]


async def explained(admin: AdminStub, key: ContextKey, **rest: int) -> ExplainResponse:
    """The explanation of a context."""
    return await admin.Explain(ExplainRequest(key=key, **rest), timeout=TIMEOUT)


async def put_all(stub: Stub) -> list[int]:
    """Put a context and its two layers. Returns the versions: the layers', then its own."""
    layers = [
        context(llm_config={"model": "m", "n": 1, "limits": {"a": 1}}, user_id="ignored"),
        context(llm_config={"n": 2, "top-p": 0.5}, rag_config={"k": [1, 2]}),
    ]
    head = context(user_id="u", llm_config={"n": 3, "api_key": "s3cret"}, includes=LAYERS)
    entries = [*zip(LAYERS, layers, strict=True), (key(), head)]
    return [(await put(stub, *each)).revision for each in entries]


async def test_origins(admin: AdminStub, stub: Stub) -> None:
    """Each value is named with its entry; entries are the layers in order, then the context's."""
    versions = await put_all(stub)
    found = await explained(admin, key())
    assert [each.key for each in found.entries] == [*LAYERS, key()]
    assert [each.version for each in found.entries] == versions
    assert not any(each.HasField("context") for each in found.entries)
    assert all(each.ttl.seconds > 0 for each in found.entries)
    assert found.revision == versions[-1]
    assert {each.path: each.entry for each in found.origins} == {
        "user_id": 2,
        "includes": 2,
        "create_time": 2,
        "llm_config.model": 0,
        "llm_config.limits.a": 0,
        "llm_config.`top-p`": 1,
        "rag_config.k": 1,
        "llm_config.n": 2,
        "llm_config.api_key": 2,
    }
    assert list(found.missing) == []


async def test_the_composed_context(admin: AdminStub, stub: Stub) -> None:
    """The context is composed as a client would, with its times, and without secrets."""
    await put_all(stub)
    found = await explained(admin, key())
    own = (await get(stub, key())).entry.context
    assert MessageToDict(found.context.llm_config) == {
        "model": "m", "n": 3, "limits": {"a": 1}, "top-p": 0.5, "api_key": "[redacted]",
    }  # fmt: skip
    assert MessageToDict(found.context.rag_config) == {"k": [1, 2]}
    assert found.context.user_id == "u"
    assert list(found.context.includes) == LAYERS
    assert (found.context.create_time, found.context.update_time) == (
        own.create_time,
        own.update_time,
    )
    assert "s3cret" not in str(found)


async def test_missing_layers(admin: AdminStub, stub: Stub) -> None:
    """A layer that does not exist is named, and what there is is explained."""
    await put_all(stub)
    await invalidate(stub, LAYERS[0])
    found = await explained(admin, key())
    assert list(found.missing) == [LAYERS[0]]
    assert [each.key for each in found.entries] == [LAYERS[1], key()]
    assert {each.path for each in found.origins if each.entry == 0} == {
        "llm_config.`top-p`",
        "rag_config.k",
    }


async def test_a_reference(admin: AdminStub, stub: Stub) -> None:
    """The revision of a reference is a fence: the answer is as of it or later."""
    revision = (await put(stub, key())).revision
    assert (await explained(admin, key(), min_revision=revision)).revision == revision
    failure = await failure_of(explained(admin, key(), min_revision=revision + 1))
    assert (failure.code, failure.reason) == (StatusCode.FAILED_PRECONDITION, "STORE_BEHIND")


async def test_nothing_to_explain(admin: AdminStub) -> None:
    """Without a live entry the call is NOT_FOUND; a malformed request is named by its fields."""
    failure = await failure_of(explained(admin, key()))
    assert (failure.code, failure.reason) == (StatusCode.NOT_FOUND, "NO_ENTRY")
    failure = await failure_of(explained(admin, key("\n"), min_revision=-1))
    assert failure.fields == ["key.id", "min_revision"]


@pytest.mark.parametrize("broken", [*LAYERS, key()], ids=["a layer", "the other", "the entry"])
async def test_a_broken_entry(settings: Settings, broken: ContextKey) -> None:
    """An entry that is no context is DATA_LOSS, by its key."""
    storage = open_storage(
        settings.store.get_secret_value(), partitions=64, prefix=settings.store_prefix
    )
    named = Key(broken.scope, broken.tenant_id, broken.id)
    async with Server(settings, storage) as server, admin_of(server.address) as admin:
        async with stub_of(server.address) as stub:
            await put_all(stub)
        await storage.write(Write(named, b"\xff\xff", 60_000))
        failure = await failure_of(explained(admin, key()))
    assert (failure.code, failure.reason) == (StatusCode.DATA_LOSS, "CORRUPT_ENTRY")
    assert failure.metadata == {"key": str(named)}
