"""docs/from-plain-redis.md: its code, before and after each step, on a real Redis and store."""

import asyncio
import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from faststream.redis import RedisBroker
from grpc import aio
from pydantic import ValidationError
from redis.asyncio import Redis
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    NoContextError,
    NotFoundError,
    RelevoError,
    aio_client_interceptors,
    use_context,
)
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.command import Outcome, relevo
from support.pages import Name, Page
from support.plain_platform import Agents, Counter, work_of
from support.redis_process import RedisProcess
from support.waiting import until_async

PAGE = Page("from-plain-redis.md")

PLAIN = Name("Where such platforms stand")
IMPORTS = Name("Where such platforms stand", "Imports")
CLIENT = Name("A store beside what is there", "After")
OWNER, EDGE, WORKER, QUEUES, SERVICE, TURN = (
    "The owner puts what it changes",
    "The edge",
    "Workers, one by one",
    "With FastStream",
    "gRPC services",
    "Turns that keep what they began with",
)
POLICY = Name("No old keys, no defaults", "After")
BEFORE, AFTER = "Before", "After"

AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")
WHO: dict[str, Any] = {"tenant_id": "acme", "agent_id": "support", "conversation_id": "c-1"}
HEADERS = {f"X-{name.removesuffix('_id').title()}-ID": value for name, value in WHO.items()}
QUEUE = "execution.agent_run"

Run = Callable[..., Awaitable[Any]]
"""Runs blocks of the page as a process of the platform does, with the imports and names."""


def config(model: str) -> dict[str, Any]:
    """An agent's configuration."""
    return {"llm_config": {"model": model}}


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisProcess]:
    """A Redis of these tests' own: names of keys and queues are the page's."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def store_url(redis_process: RedisProcess) -> str:
    """The store is beside the old keys."""
    return redis_process.url


@pytest.fixture
async def redis(redis_process: RedisProcess) -> "AsyncIterator[Redis]":
    """The platform's Redis, empty."""
    library: Any = Redis  # whose types are only half known
    async with library.from_url(redis_process.url, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def agents() -> Agents:
    """Agent management, with one agent."""
    agents = Agents()
    await agents.save("acme", "support", config("m-1"))
    return agents


@pytest.fixture
async def run(redis: "Redis", server: Server, agents: Agents) -> AsyncIterator[Run]:
    """Runs blocks; what they have opened is closed in the end."""
    names = work_of(agents)
    names |= {"redis": redis, "STORE": server.address}
    names["REDIS"] = "redis://{host}:{port}".format(**redis.connection_pool.connection_kwargs)
    opened: list[AsyncContextClient] = []

    async def run(*blocks: Name, **given: Any) -> Any:
        ran = PAGE.run(IMPORTS, PLAIN, CLIENT, *blocks, **{**names, **given})
        opened.append(ran.contexts)
        return ran

    yield run
    for contexts in opened:
        await contexts.close()


async def ask_edge(edge: Any) -> httpx.Response:
    """One turn, as a browser sends it."""
    transport = httpx.ASGITransport(edge.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as browser:
        return await browser.post("/turn", json={"text": "Hello"}, headers=HEADERS)


async def turn(edge: Any, redis: "Redis") -> str:
    """One turn: the message that is in the queue then."""
    answer = await ask_edge(edge)
    assert answer.status_code == 202, answer.text
    return await taken(redis)


async def taken(redis: Any) -> str:
    """The next message of the queue."""
    message = await redis.lpop(QUEUE)
    assert isinstance(message, str)
    return message


async def change(run: Run, model: str) -> None:
    """The owner changes the agent, by the code of step 2."""
    owner = await run(Name(OWNER, AFTER))
    await owner.save("acme", "support", config(model))


async def command(server: Server, *arguments: str) -> Outcome:
    """The `relevo` command, beside the server that runs here."""
    return await asyncio.to_thread(
        relevo, *arguments, environment={"RELEVO_SERVER": server.address}
    )


def test_all_code_of_the_page_is_run() -> None:
    """Every block of the page is one that a test here runs."""
    steps = (OWNER, EDGE, WORKER, QUEUES, SERVICE, TURN)
    pairs = {Name(step, label) for step in steps for label in (BEFORE, AFTER)}
    assert PAGE.blocks.keys() == {PLAIN, IMPORTS, CLIENT, POLICY} | pairs


async def test_where_platforms_stand(run: Run, redis: "Redis", agents: Agents) -> None:
    """Plain: a copy is outdated, whoever finds none asks again, and a default hides a failure."""
    plain = await run()
    action = {**WHO, "context_cache_key": CONVERSATION.text}

    async def model() -> str:
        settings = await plain.settings_of(action)
        name: str = settings.llm_config["model"]
        return name

    assert [await model(), await model(), agents.asked] == ["m-1", "m-1", 2]
    agents.is_away = True
    assert await model() == "m-default"
    await redis.set(CONVERSATION.text, json.dumps({**WHO, **config("m-1")}))
    await agents.save("acme", "support", config("m-2"))
    assert await model() == "m-1"


async def test_a_store_beside_what_is_there(
    run: Run, redis: Any, server: Server, settings: Settings, agents: Agents
) -> None:
    """Step 1: the store leaves the old keys alone, and agents are loaded once for all clients."""
    await redis.set(CONVERSATION.text, "old")
    assert (await command(server, "get", AGENT.text)).code == 3

    clients = [(await run()).contexts for _ in range(3)]
    found = await asyncio.gather(*(contexts.resolve(AGENT) for contexts in clients))
    assert [entry.context.llm_config["model"] for entry in found] == ["m-1"] * 3
    assert agents.asked == 1

    assert await redis.get(CONVERSATION.text) == "old"
    names: list[str] = await redis.keys()
    assert len(names) > 1
    assert all(settings.store_prefix in name for name in names if name != CONVERSATION.text)


async def test_the_owner(run: Run, redis: "Redis", server: Server) -> None:
    """Step 2: what is saved is in the store at once; before, conversations keep their copies."""
    await redis.set("agent:acme:support", "old")
    text = json.dumps({**WHO, **config("m-1")})
    await redis.set(CONVERSATION.text, text)
    before = await run(Name(OWNER, BEFORE))
    await before.save("acme", "support", config("m-2"))
    assert await redis.get("agent:acme:support") is None
    assert await redis.get(CONVERSATION.text) == text

    reader = (await run()).contexts
    assert (await reader.resolve(AGENT)).context.llm_config == {"model": "m-2"}
    await change(run, "m-3")
    assert (await reader.resolve(AGENT, fresh=True)).context.llm_config == {"model": "m-3"}
    shown = await command(server, "get", AGENT.text)
    assert shown.json["entry"]["context"]["llm_config"] == {"model": "m-3"}


async def test_the_other_ways_of_the_owner(run: Run, agents: Agents) -> None:
    """Step 2: an update changes one value, and after an invalidate the database is read anew."""
    reader, owner = (await run()).contexts, (await run()).contexts
    await change(run, "m-2")
    await owner.update(AGENT, {"llm_config": {"temperature": 0.5}})
    found = await reader.resolve(AGENT, fresh=True)
    assert found.context.llm_config == {"model": "m-2", "temperature": 0.5}

    await agents.save("acme", "support", config("m-3"))
    await owner.invalidate(AGENT)
    found = await reader.resolve(AGENT, fresh=True)
    assert found.context.llm_config == {"model": "m-3"}


async def test_the_edge(run: Run, redis: "Redis", server: Server, agents: Agents) -> None:
    """Step 3: before, a conversation keeps its copy; after, each turn has the agent as it is."""
    before, plain = await run(Name(EDGE, BEFORE)), await run(Name(WORKER, BEFORE))
    assert await plain.work(await turn(before, redis)) == "m-1"
    await change(run, "m-2")
    assert await plain.work(await turn(before, redis)) == "m-1"

    after = await run(Name(EDGE, AFTER))
    assert await plain.work(await turn(after, redis)) == "m-2"
    asked = agents.asked
    await change(run, "m-3")

    async def is_changed() -> bool:
        model: str = await plain.work(await turn(after, redis))
        return model == "m-3"

    async def is_local() -> bool:
        contexts: AsyncContextClient = after.contexts
        hits, misses = contexts.cache_counts.hits, contexts.cache_counts.misses
        for _ in range(3):
            await turn(after, redis)
        counts = contexts.cache_counts
        return counts.hits > hits and counts.misses == misses

    await until_async(is_changed, what="the change, in a turn")
    await until_async(is_local, what="turns for which nobody is asked")
    assert agents.asked == asked
    shown = await command(server, "get", CONVERSATION.text, "--layers")
    assert shown.code == 0


async def test_actions_keep_their_names(run: Run, redis: "Redis") -> None:
    """Step 3: an action's JSON says what it said before, and the revision beside it."""
    old = json.loads(await turn(await run(Name(EDGE, BEFORE)), redis))
    new = json.loads(await turn(await run(Name(EDGE, AFTER)), redis))
    assert old.keys() <= new.keys()
    same = old.keys() - {"action_id"}
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert new["context_revision"].isdecimal()


async def test_conversations_that_are_under_way(run: Run, redis: "Redis") -> None:
    """Step 3: a conversation goes on with what is its own, and without its copy of the agent."""
    await redis.set(CONVERSATION.text, json.dumps({**WHO, **config("m-0"), "session_id": "s-1"}))
    edge, plain = await run(Name(EDGE, AFTER)), await run(Name(WORKER, BEFORE))
    assert await plain.work(await turn(edge, redis)) == "m-1"
    entry = await edge.contexts.resolve(CONVERSATION)
    assert entry.context.session_id == "s-1"
    assert entry.context.includes == (AGENT,)


async def test_an_agent_that_nobody_knows(run: Run) -> None:
    """Step 3: such a turn is an error at the edge, and nothing is sent."""
    edge = await run(Name(EDGE, AFTER))
    edge.agents.is_away = True
    answer = await ask_edge(edge)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "INCOMPLETE")


@pytest.mark.parametrize("label", [BEFORE, AFTER])
async def test_old_and_new_workers_read_the_same_action(
    run: Run, redis: "Redis", label: str
) -> None:
    """Step 4: whichever edge has sent an action, old and new workers do the same for it."""
    edge = await run(Name(EDGE, label))
    message = await turn(edge, redis)
    workers = [await run(Name(WORKER, each)) for each in (BEFORE, AFTER)]
    assert [await worker.work(message) for worker in workers] == ["m-1", "m-1"]


async def test_workers_see_changes(run: Run, redis: "Redis") -> None:
    """Step 4: an action that waits while the agent is changed is done with the change."""
    message = await turn(await run(Name(EDGE, AFTER)), redis)
    before, after = [await run(Name(WORKER, each)) for each in (BEFORE, AFTER)]
    assert [await before.work(message), await after.work(message)] == ["m-1", "m-1"]
    await change(run, "m-2")

    async def is_changed() -> bool:
        model: str = await after.work(message)
        return model == "m-2"

    await until_async(is_changed, what="the change, at the worker")
    assert await before.work(message) == "m-1"


async def test_names_of_texts(run: Run, redis: "Redis") -> None:
    """Step 3: a text's name has three encoded parts; a new worker refuses another one."""
    action = {**json.loads(await turn(await run(Name(EDGE, BEFORE)), redis)), **WHO}
    worker = await run(Name(WORKER, AFTER))
    await redis.set("context:acme:a%20b", json.dumps({**WHO, **config("m-5")}))
    assert ContextKey("context", "acme", "a b").text == "context:acme:a%20b"
    named = {**action, "context_cache_key": "context:acme:a%20b"}
    assert await worker.work(json.dumps(named)) == "m-5"
    with pytest.raises(ValidationError, match="scope:tenant_id:id"):
        await worker.work(json.dumps({**action, "context_cache_key": "ctx:c-1"}))


async def test_workers_without_anything_to_work_with(run: Run, redis: "Redis") -> None:
    """Step 4: where nothing is left of a conversation, an old worker makes up a value."""
    message = await turn(await run(Name(EDGE, BEFORE)), redis)
    await redis.delete(CONVERSATION.text)
    before, after = [await run(Name(WORKER, each)) for each in (BEFORE, AFTER)]
    before.agents.is_away = True
    assert await before.work(message) == "m-default"
    with pytest.raises(RelevoError):
        await after.work(message)


async def test_queues_with_faststream(run: Run, redis: "Redis") -> None:
    """Step 4: old and new workers of one group share a queue, and do the same for its actions."""
    edge = await run(Name(EDGE, AFTER))
    await turn(edge, redis)  # the conversation has begun
    replies = asyncio.Queue[DomainAction]()
    callers = ActionQueues(RedisBroker(edge.REDIS), None, service="edge")

    @callers.handle("edge.callback")
    async def callback(action: DomainAction) -> None:
        replies.put_nowait(action)

    async def reply() -> Any:
        async with asyncio.timeout(20):
            action = await replies.get()
        assert action.action_type == "edge.turn.found"
        assert action.context_ref
        assert action.context_ref.key == CONVERSATION
        return action.correlation_id, action.payload["model"]

    entry = await edge.contexts.resolve(CONVERSATION)
    request: Mapping[str, Any] = {
        "action_type": "query.passages.find",
        "callback_queue": "edge.callback",
        "callback_action_type": "edge.turn.found",
        "payload": {"text": "Hello"},
    }
    plain: dict[str, Any] = {**WHO, **request, "context_cache_key": CONVERSATION.text}
    old, new = [await run(Name(WORKER, AFTER), Name(QUEUES, each)) for each in (BEFORE, AFTER)]
    async with callers:
        async with old.broker:
            await old.broker.start()
            with use_context(entry):
                sent = DomainAction(**request)
                await callers.send(sent, "query.search")
            assert await reply() == (sent.action_id, "m-1")
        async with new.queues:
            await old.broker.connect()
            await old.broker.publish({**plain, "action_id": "a-2"}, stream="query.search")
            await old.broker.stop()
            assert await reply() == ("a-2", "m-1")
            by_hand = json.dumps({**plain, "action_id": "a-3"})
            await redis.xadd("query.search", {"data": by_hand})
            assert await reply() == ("a-3", "m-1")
    assert replies.empty()
    group: Any
    (group,) = await redis.xinfo_groups("query.search")
    assert (group["name"], group["pending"]) == ("query", 0)


async def test_while_the_store_is_away(run: Run, redis: "Redis", settings: Settings) -> None:
    """Steps 3 and 4: edge and workers go on with the JSON text while the store is away."""
    async with Server(settings) as store:
        edge = await run(Name(EDGE, AFTER), STORE=store.address)
        worker = await run(Name(WORKER, AFTER), STORE=store.address)
        plain = await run(Name(WORKER, BEFORE))
        message = await turn(edge, redis)
        assert await worker.work(message) == "m-1"
    text = json.dumps({**WHO, **config("m-text")})

    async def is_of_text() -> bool:
        await redis.set(CONVERSATION.text, text)
        model: str = await worker.work(message)
        return model == "m-text"

    async def is_of_text_at_the_edge() -> bool:
        await redis.set(CONVERSATION.text, text)
        model: str = await plain.work(await turn(edge, redis))
        return model == "m-text"

    await until_async(is_of_text, within=30, what="work with the text")
    await until_async(is_of_text_at_the_edge, within=30, what="a turn with the text")


@asynccontextmanager
async def serving(service: Any) -> AsyncGenerator[str, None]:
    """The server of step 5, with its service: its address."""
    grpc_api.add_EmbeddingServiceServicer_to_server(service.Embedding(), service.server)
    port = service.server.add_insecure_port("127.0.0.1:0")
    await service.server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await service.server.stop(None)


async def embed(target: str, entry: ContextEntry, *interceptors: aio.ClientInterceptor) -> str:
    """Call the service of step 5 within a context, as old callers do too: the model."""
    headers = (("x-tenant-id", "acme"), ("x-agent-id", "support"))
    async with aio.insecure_channel(target, interceptors=interceptors) as channel:
        stub = grpc_api.EmbeddingServiceStub(channel)
        with use_context(entry):
            answer = await stub.Embed(EmbedRequest(texts=["a"]), metadata=headers)
    return answer.observations[0].service


@pytest.mark.parametrize("label", [BEFORE, AFTER])
async def test_grpc_services(run: Run, agents: Agents, label: str) -> None:
    """Step 5: callers and servers move in any order; one that has moved asks nobody."""
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
    """Step 5: a service that has moved asks agent management while the store is away."""
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
    """One turn, by the code of step 6: the message that is in the queue then."""
    with use_context(await edge.contexts.resolve(CONVERSATION)):
        await edge.send_turn("Hello")
    return await taken(redis)


async def test_a_turn_that_keeps_nothing(run: Run, redis: "Redis") -> None:
    """Step 6, before: what is changed amid a turn counts for the rest of it."""
    edge = await run(Name(EDGE, AFTER), Name(TURN, BEFORE))
    await turn(edge, redis)  # the conversation has begun
    workers = [await run(Name(WORKER, AFTER)) for _ in range(2)]
    message = await send_turn(edge, redis)
    assert await workers[0].work(message) == "m-1"
    await change(run, "m-2")

    async def is_changed() -> bool:
        model: str = await workers[1].work(message)
        return model == "m-2"

    await until_async(is_changed, what="the change, amid the turn")


async def test_a_turn_that_keeps_what_it_began_with(run: Run, redis: "Redis") -> None:
    """Step 6: what is changed amid a turn counts for the next turn, for each of its steps."""
    edge = await run(Name(EDGE, AFTER), Name(TURN, AFTER))
    await turn(edge, redis)  # the conversation has begun
    workers = [await run(Name(WORKER, AFTER)) for _ in range(2)]
    message = await send_turn(edge, redis)
    name: str = json.loads(message)["context_cache_key"]
    assert name.startswith("snapshot:acme:conversation.c-1.")
    assert await workers[0].work(message) == "m-1"
    await change(run, "m-2")
    following = await send_turn(edge, redis)
    assert await workers[1].work(message) == "m-1"
    assert [await worker.work(following) for worker in workers] == ["m-2", "m-2"]


async def test_policies_instead_of_defaults(run: Run, redis: "Redis", settings: Settings) -> None:
    """Step 7: what is lost is refused, and what the store cannot be asked for is marked."""
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
