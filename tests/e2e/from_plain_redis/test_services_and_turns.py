"""gRPC services, turns with a fixed state, and policies: steps 5 to 7."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import aio
from redis.asyncio import Redis
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest
from relevo_client import (
    ContextEntry,
    ExecutionContext,
    NoContextError,
    NotFoundError,
    aio_client_interceptors,
    use_context,
)
from relevo_client.actions import DomainAction
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.pages import Name
from support.platform.moving import (
    AFTER,
    AGENT,
    BEFORE,
    CONVERSATION,
    EDGE,
    POLICY,
    SERVICE,
    TURN,
    WHO,
    WORKER,
    Run,
    change,
    config,
    taken,
    turn,
)
from support.platform.plain import Agents, Counter
from support.waiting import until_async


@asynccontextmanager
async def serving(service: Any) -> AsyncGenerator[str, None]:
    """The server of step 5 with its service, and its address."""
    grpc_api.add_EmbeddingServiceServicer_to_server(service.Embedding(), service.server)
    port = service.server.add_insecure_port("127.0.0.1:0")
    await service.server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await service.server.stop(None)


async def embed(target: str, entry: ContextEntry, *interceptors: aio.ClientInterceptor) -> str:
    """Call the service of step 5 within a context, like an old caller, and return the model."""
    headers = (("x-tenant-id", "acme"), ("x-agent-id", "support"))
    async with aio.insecure_channel(target, interceptors=interceptors) as channel:
        stub = grpc_api.EmbeddingServiceStub(channel)
        with use_context(entry):
            answer = await stub.Embed(EmbedRequest(texts=["a"]), metadata=headers)
    return answer.observations[0].service


@pytest.mark.parametrize("label", [BEFORE, AFTER])
async def test_grpc_services(run: Run, agents: Agents, label: str) -> None:
    """Step 5: callers and servers may move in any order; a server that has moved makes no calls."""
    await change(run, "m-1")
    service = await run(Name(SERVICE, label))
    await service.contexts.put(CONVERSATION, ExecutionContext(includes=(AGENT,), **WHO))
    entry = await service.contexts.resolve(CONVERSATION)
    async with serving(service) as target:
        for interceptors in ((), aio_client_interceptors()):
            asked = agents.asked
            assert await embed(target, entry, *interceptors) == "m-1"
            both_moved = label == AFTER and interceptors
            assert agents.asked - asked == (0 if both_moved else 1)


async def test_grpc_services_while_the_store_is_away(
    run: Run, agents: Agents, settings: Settings
) -> None:
    """Step 5: while the store is unavailable, a service that has moved asks agent management."""
    async with Server(settings) as store:
        service = await run(Name(SERVICE, AFTER), STORE=store.address)
        await service.contexts.put(CONVERSATION, ExecutionContext(includes=(AGENT,), **WHO))
        entry = await service.contexts.resolve(CONVERSATION)
    await agents.save("acme", "support", config("m-2"))
    async with serving(service) as target:

        async def is_asked() -> bool:
            return await embed(target, entry, *aio_client_interceptors()) == "m-2"

        await until_async(is_asked, within=30, what="what agent management says")


async def send_turn(edge: Any, redis: "Redis") -> str:
    """Run one turn by the code of step 6, and return the message in the queue."""
    with use_context(await edge.contexts.resolve(CONVERSATION)):
        await edge.send_turn("Hello")
    return await taken(redis)


async def test_a_turn_that_keeps_nothing(run: Run, redis: "Redis") -> None:
    """Step 6, before: a change during a turn affects the rest of that turn."""
    edge = await run(Name(EDGE, AFTER), Name(TURN, BEFORE))
    await turn(edge, redis)  # begins the conversation
    workers = [await run(Name(WORKER, AFTER)) for _ in range(2)]
    message = await send_turn(edge, redis)
    assert await workers[0].work(message) == "m-1"
    await change(run, "m-2")

    async def is_changed() -> bool:
        model: str = await workers[1].work(message)
        return model == "m-2"

    await until_async(is_changed, what="the change, amid the turn")


async def test_a_turn_that_keeps_what_it_began_with(run: Run, redis: "Redis") -> None:
    """Step 6: a change during a turn affects all steps of the next turn, and none of this one."""
    edge = await run(Name(EDGE, AFTER), Name(TURN, AFTER))
    await turn(edge, redis)  # begins the conversation
    workers = [await run(Name(WORKER, AFTER)) for _ in range(2)]
    message = await send_turn(edge, redis)
    name: str = json.loads(message)["context_cache_key"]
    assert name.startswith("snapshot:acme:sha256-")
    assert await workers[0].work(message) == "m-1"
    await change(run, "m-2")
    following = await send_turn(edge, redis)
    assert await workers[1].work(message) == "m-1"
    assert [await worker.work(following) for worker in workers] == ["m-2", "m-2"]


async def test_policies_instead_of_defaults(run: Run, redis: "Redis", settings: Settings) -> None:
    """Step 7: a lost context is refused; if the store is unavailable, the context is marked."""
    stale = Counter()

    async def has_a_copy() -> bool:
        return worker.contexts.last_known(CONVERSATION) is not None

    async with Server(settings) as store:
        edge = await run(Name(EDGE, AFTER), STORE=store.address)
        worker = await run(POLICY, STORE=store.address, stale_actions=stale)
        message = await turn(edge, redis)
        assert await worker.work(message) == "m-1"
        nobody = DomainAction(action_type="execution.agent.run", payload={"text": "Hello"})
        with pytest.raises(NoContextError):
            await worker.work(nobody.model_dump_json())
        unknown = {**json.loads(message), "context_cache_key": "conversation:acme:c-2"}
        with pytest.raises(NotFoundError):
            await worker.work(json.dumps(unknown))
        assert stale.value == 0
        await until_async(has_a_copy, what="the conversation in the worker's cache")

    async def is_stale() -> bool:
        assert await worker.work(message) == "m-1"
        return stale.value > 0

    await until_async(is_stale, within=30, what="a copy that is marked")
