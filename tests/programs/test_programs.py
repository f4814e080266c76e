"""The programs of the how-to pages do what the pages say."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from grpc import StatusCode, aio
from howto import blocking_service, edge, layers, owner, service
from howto.start import answers, asks
from httpx import ASGITransport, AsyncClient
from relevo.demo.v1.rag_platform_pb2 import (
    Passage,
    RunAgentRequest,
    SearchRequest,
    SearchResponse,
)
from relevo.demo.v1.rag_platform_pb2_grpc import ExecutionServiceStub
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    aio_context_channel,
    use_context,
)
from relevo_client.testing import LocalStore
from support.servers.services import service as fake_service
from support.waiting import until_async

AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")
QUERY = "relevo.demo.v1.QueryService"
CONFIG = {"llm_config": {"model": "m-1"}, "rag_config": {"collections": ["faq", "returns"]}}


@asynccontextmanager
async def running(
    main: Callable[[], Coroutine[Any, Any, None]], address: str
) -> AsyncGenerator[asyncio.Task[None]]:
    """Run a program that serves at an address until it is interrupted."""
    task = asyncio.create_task(main())
    try:
        async with aio.insecure_channel(address) as channel:
            await channel.channel_ready()
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def is_closed(address: str) -> bool:
    """Whether nobody listens at an address."""
    host, port = address.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()
    except ConnectionError:  # refused; or reset, if the listener closed meanwhile
        return True
    return False


@asynccontextmanager
async def lifespan(app: Any) -> AsyncGenerator[Any]:
    """The application between its startup and its shutdown, with its state in each request."""
    async with app.router.lifespan_context(app) as state:

        async def served(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        yield served


async def ask(address: str, store: LocalStore, text: str) -> str:
    """What the service at an address answers in the conversation."""
    with use_context(store.client.resolve(CONVERSATION)):
        async with aio_context_channel(aio.insecure_channel(address)) as channel:
            stub = ExecutionServiceStub(channel)
            answer = await stub.RunAgent(RunAgentRequest(text=text))
    return answer.text


async def test_services(
    store: LocalStore, placed: Callable[..., None], address: str, other_address: str
) -> None:
    """The service on asyncio works with its caller's context, and the one on threads with its."""
    placed(service, ADDRESS=address, SEARCH=other_address)
    placed(blocking_service, ADDRESS=other_address)
    context = ExecutionContext.model_validate({"tenant_id": "acme", **CONFIG})
    store.client.put(CONVERSATION, context)
    with ContextClient(store.address, timeout=10) as contexts:
        search = blocking_service.serve(contexts)
        async with running(service.main, address):
            found = await ask(address, store, "Hours?")
            assert found == "m-1 says: 'Hours?' in acme/faq"
            async with aio.insecure_channel(address) as channel:
                with pytest.raises(aio.AioRpcError) as error:
                    await ExecutionServiceStub(channel).RunAgent(RunAgentRequest())
            assert error.value.code() == StatusCode.FAILED_PRECONDITION
        search.stop(None).wait()


async def test_a_service_that_is_interrupted(
    store: LocalStore, placed: Callable[..., None], address: str
) -> None:
    """A call in flight ends as if nothing had happened; the service ends after it."""
    context = ExecutionContext.model_validate({"tenant_id": "acme", **CONFIG})
    store.client.put(CONVERSATION, context)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def search(request: bytes, _: Any) -> bytes:
        begun.set()
        await may_end.wait()
        text = SearchRequest.FromString(request).text
        return SearchResponse(passages=[Passage(text=text)]).SerializeToString()

    async with fake_service({"Search": search}, name=QUERY) as searching:
        placed(service, ADDRESS=address, SEARCH=searching)
        async with running(service.main, address) as serving:
            asked = asyncio.create_task(ask(address, store, "Hours?"))
            await begun.wait()
            serving.cancel()
            await until_async(lambda: serving.done() or is_closed(address))
            assert not serving.done()
            may_end.set()
            assert await asked == "m-1 says: Hours?"


async def test_edge(store: LocalStore, placed: Callable[..., None], address: str) -> None:
    """The edge begins the conversation of its headers, for a caller who may use the tenant."""
    placed(edge, EXECUTION=address)
    placed(answers, ADDRESS=address)
    store.client.put(AGENT, ExecutionContext.model_validate(CONFIG))
    headers = {"X-Tenant-ID": "acme", "X-Agent-ID": "support", "X-Conversation-ID": "c-1"}
    app = edge.application()
    async with (
        running(answers.main, address),
        lifespan(app) as served,
        AsyncClient(transport=ASGITransport(served), base_url="http://edge") as client,
    ):
        may = {**headers, "Authorization": "Bearer key-of-acme"}
        answered = await client.post("/turns", json={"text": "Hello"}, headers=may)
        refused = await client.post("/turns", json={"text": "Hello"}, headers=headers)
    assert (answered.status_code, answered.json()) == (200, {"text": "m-1 answers: Hello"})
    assert refused.status_code == 403
    assert store.client.get(CONVERSATION).context.includes == (AGENT,)


async def test_owner(store: LocalStore, placed: Callable[..., None]) -> None:
    """What the owner saves and changes is what services read; a loader makes the rest."""
    placed(owner)
    owner.DATABASE.clear()
    async with owner.client() as contexts, AsyncContextClient(store.address, timeout=10) as other:
        await owner.save(contexts, "acme", "support", CONFIG)
        await owner.change_model(contexts, "acme", "support", "m-2")
        read = (await other.resolve(AGENT, fresh=True)).context
        assert dict(read.llm_config) == {"model": "m-2"}
        assert dict(read.rag_config) == CONFIG["rag_config"]
        await contexts.invalidate(AGENT)
        await owner.change_model(contexts, "acme", "support", "m-3")
        with pytest.raises(NotFoundError):
            await other.resolve(AGENT, fresh=True)
        assert (await contexts.resolve(AGENT)).context.llm_config["model"] == "m-3"
        await owner.remove(contexts, "acme")
        with pytest.raises(NotFoundError):
            await other.resolve(AGENT, fresh=True)


async def test_owner_by_itself(
    placed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as a program, the owner shows its change."""
    placed(owner)
    await owner.main()
    assert capsys.readouterr().out.startswith("m-2 from ")


async def test_layers(placed: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """The page about layers says what its program prints."""
    placed(layers)
    await layers.main()
    assert capsys.readouterr().out == '{"model": "m-1", "temperature": 0.2}\n'


def test_a_conversation_of_the_start_includes_its_agent() -> None:
    """The first service's conversation changes whenever the agent does."""
    assert asyncio.run(asks.begin(CONVERSATION)).includes == (AGENT,)
