"""Layers: the included entries of a context are returned with it, all as of one revision."""

import asyncio
from itertools import count

import pytest
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Consistency, GetResponse
from relevo_server.keys import Key
from relevo_server.storage import Storage
from relevo_server.storage.interface import Write
from support.clients.calls import Stub, context, get, invalidate, key, put
from support.failures import failure_of
from support.servers.spied_storage import Spy

AGENT = key("a1", scope="agent_config")
DOCS = key("docs", scope="collection_config")
FAQ = key("faq", scope="collection_config")


def layers_of(answer: GetResponse) -> list[ContextKey]:
    """The keys of the layers, in their order."""
    return [layer.key for layer in answer.layers]


@pytest.mark.parametrize("includes", [[AGENT, DOCS, FAQ], [FAQ, AGENT, DOCS], [DOCS]])
async def test_layers_come_in_the_order_of_includes(stub: Stub, includes: list[ContextKey]) -> None:
    """Exactly the included layers are returned in full, in the order of `includes`."""
    for each in (AGENT, DOCS, FAQ):
        await put(stub, each, context(user_id=each.id, llm_config={"from": each.id}))
    await put(stub, key(), context(includes=includes))
    answer = await get(stub, key(), include_layers=True)
    assert layers_of(answer) == includes
    for layer in answer.layers:
        alone = (await get(stub, layer.key)).entry
        assert layer.context == alone.context
        assert (layer.version, layer.partition) == (alone.version, alone.partition)
        assert 0 < layer.ttl.seconds <= 900


async def test_layers_come_only_when_asked_for(stub: Stub) -> None:
    """Without `include_layers`, a context is returned alone, as it was put."""
    await put(stub, AGENT)
    await put(stub, key(), context(includes=[AGENT]))
    answer = await get(stub, key())
    assert not answer.layers
    assert list(answer.entry.context.includes) == [AGENT]


async def test_a_missing_layer_is_left_out(stub: Stub) -> None:
    """A layer that does not exist, or has ended, is left out; `includes` still names it."""
    await put(stub, AGENT)
    await put(stub, FAQ)
    await invalidate(stub, AGENT)
    await put(stub, key(), context(includes=[AGENT, DOCS, FAQ]))
    answer = await get(stub, key(), include_layers=True)
    assert layers_of(answer) == [FAQ]
    assert list(answer.entry.context.includes) == [AGENT, DOCS, FAQ]


async def test_layers_have_no_layers(stub: Stub) -> None:
    """The includes of an included entry are ignored: composition is one level deep."""
    await put(stub, FAQ)
    await put(stub, DOCS, context(includes=[FAQ]))
    await put(stub, key(), context(includes=[DOCS]))
    assert layers_of(await get(stub, key(), include_layers=True)) == [DOCS]


async def test_a_new_layer_shows_at_once(stub: Stub) -> None:
    """After a write to an entry, every context that includes it is returned with the new value."""
    await put(stub, AGENT, context(llm_config={"model": "m1"}))
    heads = [key(f"c{i}") for i in range(3)]
    for head in heads:
        await put(stub, head, context(includes=[AGENT]))
    revision = (await put(stub, AGENT, context(llm_config={"model": "m2"}))).revision
    for head in heads:
        answer = await get(stub, head, include_layers=True)
        assert answer.revision == answer.layers[0].version == revision
        assert answer.layers[0].context.llm_config["model"] == "m2"


async def test_a_known_head_comes_with_its_layers(stub: Stub) -> None:
    """With `known_version` the head's context is left out, and its layers are still complete."""
    await put(stub, AGENT, context(user_id="u"))
    version = (await put(stub, key(), context(includes=[AGENT]))).revision
    answer = await get(stub, key(), include_layers=True, known_version=version)
    assert answer.not_modified
    assert not answer.entry.HasField("context")
    assert [layer.context.user_id for layer in answer.layers] == ["u"]


async def test_sixteen_layers(stub: Stub) -> None:
    """One answer has as many layers as a context may include."""
    includes = [key(f"a{i}", scope="agent_config") for i in range(16)]
    for each in includes:
        await put(stub, each)
    await put(stub, key(), context(includes=includes))
    assert layers_of(await get(stub, key(), include_layers=True)) == includes


@pytest.mark.parametrize("consistency", Consistency.values())
async def test_an_answer_is_one_snapshot(stub: Stub, consistency: Consistency) -> None:
    """Head and layers are those of one moment, the answer's revision, amid concurrent writes.

    Writers replace the layers, and the head includes them in turns: every answer must equal the
    history of writes at its revision.
    """
    history: dict[str, dict[int, str]] = {"c1": {}, "a1": {}, "docs": {}, "faq": {}}
    includes = {"both": [AGENT, DOCS], "other": [FAQ, AGENT], "none": []}
    done = asyncio.Event()

    async def write(target: ContextKey, value: str, **fields: list[ContextKey]) -> None:
        version = (await put(stub, target, context(user_id=value, **fields))).revision
        history[target.id][version] = value

    async def keep_writing(target: ContextKey) -> None:
        for i in count():
            await write(target, str(i))
            if done.is_set():
                return

    async def keep_turning() -> None:
        while not done.is_set():
            for name, keys in includes.items():
                await write(key(), name, includes=keys)

    answers: list[GetResponse] = []

    def are_enough() -> bool:
        are_many = len(answers) >= 300 and len({answer.revision for answer in answers}) > 10
        return are_many and {a.entry.context.user_id for a in answers} == set(includes)

    async def read() -> None:
        while not are_enough():
            asked = get(stub, key(), include_layers=True, consistency=consistency)
            try:
                answers.append(await asked)
            except aio.AioRpcError as error:  # each read found another head
                if error.code() is not StatusCode.ABORTED:
                    raise

    for target in (AGENT, DOCS, FAQ):
        await write(target, "first")
    await write(key(), "both", includes=[AGENT, DOCS])
    writers = [asyncio.create_task(keep_writing(target)) for target in (AGENT, DOCS, FAQ)]
    writers.append(asyncio.create_task(keep_turning()))
    async with asyncio.timeout(60):
        await asyncio.gather(*(read() for _ in range(3)))
    done.set()
    await asyncio.gather(*writers)
    for answer in answers:
        assert layers_of(answer) == includes[answer.entry.context.user_id]
        for entry in (answer.entry, *answer.layers):
            versions = history[entry.key.id]
            assert entry.version == max(v for v in versions if v <= answer.revision)
            assert entry.context.user_id == versions[entry.version]


async def test_a_layer_that_is_not_a_context(storage: Storage, storage_stub: Stub) -> None:
    """Bytes that are not a context are DATA_LOSS, and the error names their entry."""
    broken = Key("agent_config", "acme", "a1")
    await storage.write(Write(broken, b"\xff\xff", 60_000))
    await put(storage_stub, key(), context(includes=[AGENT]))
    failure = await failure_of(get(storage_stub, key(), include_layers=True))
    assert (failure.code, failure.reason) == (StatusCode.DATA_LOSS, "CORRUPT_ENTRY")
    assert failure.metadata == {"key": str(broken)}


async def test_known_includes_are_read_at_once(
    storage: Storage, storage_stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another read of a context with its layers takes one step; if its includes changed, two."""
    for each in (AGENT, DOCS):
        await put(storage_stub, each)
    await put(storage_stub, key(), context(includes=[AGENT]))
    spy = Spy(storage, monkeypatch)
    reads: list[int] = []
    for includes in ([AGENT], [AGENT], [AGENT, DOCS], [AGENT, DOCS]):
        if spy.reads == 3:
            await put(storage_stub, key(), context(includes=includes))
        assert layers_of(await get(storage_stub, key(), include_layers=True)) == includes
        reads.append(spy.reads)
    assert reads == [2, 3, 5, 6]
