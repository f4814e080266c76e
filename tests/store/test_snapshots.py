"""Snapshot: one call composes an entry, names the result by its digest, and writes it."""

import asyncio

import pytest
from grpc import StatusCode
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Consistency, SnapshotRequest, SnapshotResponse
from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry
from relevo_client._store.requests import entry_of
from relevo_server.settings import Settings
from support.clients.calls import TIMEOUT, Stub, context, get, invalidate, key, put, seconds
from support.failures import failure_of
from support.servers.serving import serving

AGENT = key("a1", scope="agent_config")
DOCS = key("docs", scope="collection_config")


async def snapshot(stub: Stub, key: ContextKey = key(), **fields: object) -> SnapshotResponse:  # noqa: B008
    """The snapshot of an entry."""
    request = SnapshotRequest(key=key, **fields)  # type: ignore[arg-type]
    return await stub.Snapshot(request, timeout=TIMEOUT)


async def write(stub: Stub) -> None:
    """A conversation over two layers."""
    await put(stub, AGENT, context(llm_config={"model": "m", "top_p": 1}, user_id="agent"))
    await put(stub, DOCS, context(llm_config={"model": "d"}, rag_config={"top_k": 1.5}))
    await put(stub, key(), context(user_id="u", llm_config={"top_p": 2}, includes=[DOCS, AGENT]))


async def composed(stub: Stub) -> ContextEntry:
    """The conversation's entry with its layers, as clients read it."""
    return entry_of(await get(stub, key(), include_layers=True))


@pytest.mark.parametrize(
    "consistency", [Consistency.CONSISTENCY_STRONG, Consistency.CONSISTENCY_CACHED]
)
async def test_it_is_what_a_client_would_put(stub: Stub, consistency: Consistency) -> None:
    """The snapshot has the name and the content of the one that a client makes itself."""
    await write(stub)
    entry = await composed(stub)
    answer = await snapshot(stub, consistency=consistency)
    found = entry_from_message(answer.entry, answer.revision)  # verifies the digest
    assert found.key == entry.snapshot_key
    assert found.context.llm_config == {"model": "m", "top_p": 2}
    assert (found.context.user_id, found.context.includes) == ("u", ())
    assert found.context.created_at == entry.context.created_at
    assert answer.revision == found.version > entry.version
    stored = await get(stub, answer.entry.key)
    assert stored.entry.context == answer.entry.context
    assert 0 < answer.entry.ttl.seconds <= 1800


async def test_the_same_state_is_written_once(stub: Stub) -> None:
    """Whoever asks for the snapshot of a state gets the same entry, also at the same time."""
    await write(stub)
    answers = await asyncio.gather(*[snapshot(stub) for _ in range(8)], snapshot(stub))
    assert len({(each.entry.key.id, each.entry.version) for each in answers}) == 1
    await put(stub, AGENT, context(llm_config={"model": "new"}))
    assert (await snapshot(stub)).entry.key != answers[0].entry.key


async def test_an_ended_snapshot_is_written_again(stub: Stub) -> None:
    """A snapshot that was ended gets a new version under the same name."""
    await write(stub)
    first = await snapshot(stub)
    await invalidate(stub, first.entry.key)
    second = await snapshot(stub)
    assert second.entry.key == first.entry.key
    assert second.entry.version > first.entry.version


async def test_a_snapshot_is_its_own(stub: Stub) -> None:
    """The snapshot of a snapshot is the same entry."""
    await write(stub)
    first = await snapshot(stub)
    second = await snapshot(stub, first.entry.key)
    assert (second.entry.key, second.entry.version) == (first.entry.key, first.entry.version)


async def test_its_time_to_live_is_that_of_a_put(stub: Stub) -> None:
    """`ttl` is that of a Put; what no Put may ask for is refused."""
    await write(stub)
    assert (await snapshot(stub, ttl=seconds(60))).entry.ttl.seconds in (59, 60)
    failure = await failure_of(snapshot(stub, ttl=seconds(0)))
    assert (failure.code, failure.fields) == (StatusCode.INVALID_ARGUMENT, ["ttl"])


async def test_what_is_missing_is_listed(stub: Stub) -> None:
    """Without a layer there is no snapshot, but the list of what is missing."""
    await write(stub)
    await invalidate(stub, DOCS)
    answer = await snapshot(stub)
    assert list(answer.missing) == [DOCS]
    assert not answer.HasField("entry")
    assert (await failure_of(snapshot(stub, key("none")))).reason == "NO_ENTRY"


async def test_a_fence_holds(stub: Stub) -> None:
    """A store that is behind the fence refuses."""
    await write(stub)
    revision = (await get(stub, key())).revision
    assert (await snapshot(stub, min_revision=revision)).revision >= revision
    failure = await failure_of(snapshot(stub, min_revision=revision + (1 << 40)))
    assert failure.reason == "STORE_BEHIND"


async def test_what_is_too_large_is_refused(settings: Settings) -> None:
    """A composition that exceeds the limit of a context is not written."""
    async with serving(settings.model_copy(update={"max_context_bytes": 2000})) as stub:
        await put(stub, AGENT, context(metadata={"a": "x" * 1500}))
        await put(stub, key(), context(metadata={"b": "y" * 1500}, includes=[AGENT]))
        assert (await failure_of(snapshot(stub))).reason == "CONTEXT_TOO_LARGE"


async def test_a_snapshot_on_its_way_is_waited_for(stub: Stub) -> None:
    """A Get of a snapshot that is stored a moment later is answered with it."""
    await write(stub)
    entry = await composed(stub)
    name = entry.snapshot_key
    wanted = key(name.id, scope=name.scope)
    for consistency in (Consistency.CONSISTENCY_STRONG, Consistency.CONSISTENCY_CACHED):
        asked = asyncio.ensure_future(get(stub, wanted, consistency=consistency, min_revision=1))
        await asyncio.sleep(0.01)
        made = await snapshot(stub)
        assert (await asked).entry.version == made.entry.version
        await invalidate(stub, wanted)
    assert (await failure_of(get(stub, wanted))).reason == "NO_ENTRY"
