"""Services in Node.js, written after docs/contract.md, within a chain of Python services."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

import pytest
from e2e.node.chain import (
    KEY,
    REVISION,
    Hop,
    Metadata,
    as_in_node,
    context_of,
    hop_of,
    hop_to,
    last_service,
    run_agent,
    search,
)
from e2e.node.endings import status_of
from e2e.node.running import node_service
from e2e.node.values import AGENT, COLLECTION, CONVERSATION, TENANT, VALUES
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    aio_server_interceptor,
    use_context,
)
from relevo_server.errors import StoreError
from relevo_server.server import Server
from relevo_server.wire import statuses
from support.exact import exactly
from support.languages.node import MISSING
from support.servers.services import ServicerContext, service
from support.servers.statuses import EVERY_ERROR
from support.strategies import on_real_servers, sections

pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"{MISSING}")

NEWEST = str((1 << 63) - 1)
MALFORMED = StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed"

Start: TypeAlias = Callable[..., Awaitable[str]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services in Node.js, by program and the addresses of the services that they call."""
    async with AsyncExitStack() as stack:

        async def start(program: str, **addresses: str) -> str:
            return await stack.enter_async_context(node_service(program, **addresses))

        yield start


@pytest.fixture
def store_url() -> str:
    """The embedded backend, as these tests prove properties of every backend."""
    return "memory://"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A client of the store."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client


@pytest.fixture
async def entry(client: AsyncContextClient) -> ContextEntry:
    """A conversation's context with two layers, and every kind of value."""
    await client.put(
        AGENT,
        ExecutionContext(
            agent_id="an identity that is the layer's own",
            llm_config={"model": "the agent's", "stop": ["agent"], "limits": {"tokens": 1}},
            metadata=VALUES,
            includes=(ContextKey("agent_config", TENANT, "nothing, and it does not count"),),
        ),
    )
    await client.put(
        COLLECTION,
        ExecutionContext(
            user_id="an identity that is the layer's own",
            llm_config={"model": "the collection's", "stop": None},
            rag_config={"top_k": 5, "10": 0.5},
            metadata={"null": "a layer's that comes later"},
        ),
    )
    await client.put(
        CONVERSATION,
        ExecutionContext(
            context_id="größe",
            tenant_id=TENANT,
            user_id="u-1",
            llm_config={"model": "the conversation's", "limits": {"seconds": 2}},
            metadata={"booleans": False},
            includes=(AGENT, COLLECTION),
            created_at=datetime.fromisoformat("1969-07-20T20:17:40.123456+00:00"),
        ),
    )
    return await client.resolve(CONVERSATION)


# --- a service that only forwards ---


async def test_a_service_that_forwards(
    start: Start, client: AsyncContextClient, entry: ContextEntry
) -> None:
    """Through Node.js, the last Python service has the first one's context and fence."""
    async with last_service("Search", aio_server_interceptor(client, trust_callers=True)) as last:
        node = await start("execution.js", query=last.address)
        with use_context(entry):
            (seen,) = await run_agent(node, (("authorization", "Bearer secret"),))
    assert hop_to(seen) == hop_of(entry.ref)
    assert last.hops == [hop_of(entry.ref)]
    assert last.seen == [(entry.context, entry.ref)]
    assert "authorization" not in last.others


async def test_what_is_forwarded(start: Start) -> None:
    """Both entries are forwarded unchanged, once each, without validation."""
    longest, without_revision = "a:b:" + "c" * 462, "a:b:" + "c" * 497  # 512 bytes
    hops: dict[Metadata, Hop] = {
        (): {},
        ((REVISION, "7"),): {},
        ((KEY, "a:b:c"),): {KEY: ["a:b:c"]},
        ((KEY, "not a key"), (REVISION, "x")): {KEY: ["not a key"], REVISION: ["x"]},
        ((KEY, "a:b:c"), (REVISION, "1")) * 2: {KEY: ["a:b:c"], REVISION: ["1"]},
        ((REVISION, NEWEST), (KEY, longest)): {KEY: [longest], REVISION: [NEWEST]},
        ((KEY, without_revision),): {KEY: [without_revision]},
    }
    async with last_service("Search") as last:
        node = await start("execution.js", query=last.address)
        for metadata in hops:
            await run_agent(node, metadata)
    assert last.hops == list(hops.values())


async def test_what_is_not_forwarded(start: Start) -> None:
    """If the entries contradict each other or are too long, the call is refused."""
    async with last_service("Search") as last:
        node = await start("execution.js", query=last.address)
        for metadata in (
            ((KEY, "a:b:c"), (KEY, "a:b:d")),
            ((KEY, "a:b:c"), (REVISION, "1"), (REVISION, "2")),
            ((REVISION, NEWEST), (KEY, "a:b:" + "c" * 463)),  # 513 bytes
        ):
            assert await status_of(run_agent(node, metadata)) == MALFORMED
    assert last.hops == []


async def test_entries_that_were_joined(client: AsyncContextClient, entry: ContextEntry) -> None:
    """A Python service reads entries that were repeated, and joined by commas on the way."""
    joined = tuple((name, f"{value}, {value}") for name, (value,) in hop_of(entry.ref).items())
    async with last_service("Search", aio_server_interceptor(client, trust_callers=True)) as last:
        await search(last.address, joined)
    assert last.seen == [(entry.context, entry.ref)]


# --- a service that reads ---


async def test_a_service_that_reads(
    start: Start, server: Server, client: AsyncContextClient, entry: ContextEntry
) -> None:
    """A forwarding and a reading Node.js service between Python ones have the same context."""
    async with last_service("Embed", aio_server_interceptor(client, trust_callers=True)) as last:
        query = await start("query.js", store=server.address, embedding=last.address)
        execution = await start("execution.js", query=query)
        with use_context(entry):
            forwarded, read = await run_agent(execution)
    hop = hop_of(entry.ref)
    assert [hop_to(forwarded), hop_to(read), *last.hops] == [hop] * 3
    assert context_of(forwarded) == {}
    assert exactly(context_of(read), as_in_node(entry.context))
    assert read.revision == entry.revision
    assert last.seen == [(entry.context, entry.ref)]


@on_real_servers
@given(layers=st.lists(sections, min_size=3, max_size=3))
async def test_any_values_compose_as_in_python(
    node: str, client: AsyncContextClient, layers: list[dict[str, Any]]
) -> None:
    """For any sections, Node.js and Python compose the same context."""
    agent, collection, conversation = layers
    await client.put(AGENT, ExecutionContext(llm_config=agent))
    await client.put(COLLECTION, ExecutionContext(llm_config=collection))
    includes = AGENT, COLLECTION
    await client.put(CONVERSATION, ExecutionContext(llm_config=conversation, includes=includes))
    entry = await client.resolve(CONVERSATION)
    with use_context(entry):
        (read,) = await search(node)
    assert exactly(context_of(read), as_in_node(entry.context))


async def test_the_fence_goes_up(
    start: Start, server: Server, client: AsyncContextClient, entry: ContextEntry
) -> None:
    """A service that reads passes on the revision of its read as its callees' fence."""
    async with last_service("Embed", aio_server_interceptor(client, trust_callers=True)) as last:
        node = await start("query.js", store=server.address, embedding=last.address)
        newer = await client.update(AGENT, {"agent_config": {"tone": "kind"}})
        with use_context(entry):
            (read,) = await search(node)
    assert hop_to(read) == hop_of(entry.ref)
    assert read.revision == newer.revision > entry.revision
    assert context_of(read)["agent_config"] == {"tone": "kind"}
    assert last.hops == [hop_of(replace(entry, revision=newer.revision).ref)]


@pytest.fixture
async def node(start: Start, server: Server) -> AsyncIterator[str]:
    """A service in Node.js that reads, and calls one that does nothing."""
    async with last_service("Embed") as last:
        yield await start("query.js", store=server.address, embedding=last.address)


async def test_malformed_references_are_refused(node: str) -> None:
    """A malformed reference, or two different ones, has the same status as in a Python service."""
    malformed: Sequence[Metadata] = [
        *(((KEY, text),) for text in ("", "acme", "a:b:%zz", "a:b:%00", "a:b:c:d")),
        *(((KEY, "a:b:c"), (REVISION, text)) for text in ("", "x", "-1", "0x10", "0" * 20)),
        ((KEY, "a:b:c"), (REVISION, str(1 << 63))),
        ((KEY, "a:b:c"), (REVISION, "1"), (REVISION, "2")),
        ((KEY, "a:b:c"), (KEY, "a:b:d")),
        ((KEY, "a:b:" + "c" * 257),),
        ((KEY, "a:" + "b" * 226 + ":" + "c" * 256), (REVISION, "0")),  # 513 bytes
    ]
    for metadata in malformed:
        assert await status_of(search(node, metadata)) == MALFORMED, metadata


async def test_contexts_that_cannot_be_had(
    node: str, client: AsyncContextClient, entry: ContextEntry
) -> None:
    """For each failure to get a context, the status and its text are those of a Python service."""
    failed = StatusCode.FAILED_PRECONDITION
    key = (KEY, entry.key.text)
    assert await status_of(search(node)) == (failed, "the call names no context")
    text = "the call's context is newer than the store"
    assert await status_of(search(node, (key, (REVISION, NEWEST)))) == (failed, text)
    await client.invalidate(AGENT)
    assert await status_of(search(node, (key,))) == (failed, "the call's context is incomplete")
    await client.invalidate(CONVERSATION)
    assert await status_of(search(node, (key,))) == (failed, "the call's context does not exist")


async def test_a_store_that_cannot_be_asked(start: Start) -> None:
    """If the store has stopped or is silent, the call is UNAVAILABLE before its own deadline."""
    unavailable = StatusCode.UNAVAILABLE, "the call's context cannot be resolved now"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for address in "127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}":
            node = await start("query.js", store=address, embedding="127.0.0.1:1")
            assert await status_of(search(node, ((KEY, "a:b:c"),), timeout=2)) == unavailable


async def test_whatever_the_store_answers(start: Start) -> None:
    """Each error of the store ends a call with the status in the contract's table."""
    unavailable = StatusCode.UNAVAILABLE, "the call's context cannot be resolved now"
    failed = StatusCode.INTERNAL, "the call's context could not be resolved"
    expected = {
        "NO_ENTRY": (StatusCode.FAILED_PRECONDITION, "the call's context does not exist"),
        "STORE_BEHIND": (
            StatusCode.FAILED_PRECONDITION,
            "the call's context is newer than the store",
        ),
        "INVALID_FIELD": MALFORMED,
        "STORE_UNAVAILABLE": unavailable,
        "SERVER_STOPPING": unavailable,
        "TOO_MANY_REQUESTS": unavailable,
        "QUOTA_EXCEEDED": unavailable,
    }
    answered: list[StoreError] = []

    async def get(_: bytes, context: ServicerContext) -> bytes:
        error = answered[-1]
        details = statuses.status_of(error).SerializeToString()
        trailers = ("grpc-status-details-bin", details), ("grpc-retry-pushback-ms", "-1")
        await context.abort(error.code, "internals: 10.0.0.7", trailers)

    async with service({"Get": get}, name="relevo.v1.ContextStore") as store:
        node = await start("query.js", store=store, embedding="127.0.0.1:1")
        for error in EVERY_ERROR:
            if error.reason != "REQUEST_ID_REUSED":  # not an answer of Get
                answered.append(error)
                told = await status_of(search(node, ((KEY, "a:b:c"),)))
                assert told == expected.get(error.reason, failed), error.reason
