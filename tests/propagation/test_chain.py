"""A chain of four services that use one context, and never an older one."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Self

import pytest
from grpc import StatusCode, aio
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    NotFoundError,
    aio_client_interceptors,
    aio_server_interceptor,
    current_entry,
    require_context,
    use_context,
)
from relevo_server.server import Server
from support.servers.services import Method, ServicerContext, method_of, service
from support.waiting import until_async

SERVICES = "orchestrator", "execution", "query", "embedding"
AGENT = ContextKey("agent_config", "acme", "support")

Step = dict[str, Any]


@pytest.fixture(params=["memory", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Both backends, as the store keeps the fence."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
async def owner(server: Server) -> AsyncIterator[AsyncContextClient]:
    """The service that owns agents' configurations, with its own client."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client


class Chain:
    """Four services, each with its own store client. `during` runs within the handler of one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stack = AsyncExitStack()
        self.during: dict[str, Callable[[], Awaitable[None]]] = {}

    async def __aenter__(self) -> Self:
        following: aio.Channel | None = None
        for name in reversed(SERVICES):
            client = await self._stack.enter_async_context(
                AsyncContextClient(self._server.address, timeout=10)
            )
            address = await self._stack.enter_async_context(
                service(
                    {"Do": self._handler(name, following)},
                    interceptors=[aio_server_interceptor(client, trust_callers=True)],
                )
            )
            channel = aio.insecure_channel(address, interceptors=aio_client_interceptors())
            following = await self._stack.enter_async_context(channel)
        assert following is not None
        self._first = following
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def turn(self) -> list[Step]:
        """The context that each service saw, in the order of the chain."""
        steps: list[Step] = json.loads(await method_of(self._first)(b"", timeout=20))
        return steps

    def _handler(self, name: str, following: aio.Channel | None) -> Method:
        async def do(request: bytes, servicer_context: ServicerContext) -> bytes:
            context, entry = require_context(), current_entry()
            assert entry is not None
            step = {
                "service": name,
                "key": str(entry.key),
                "revision": entry.revision,
                "model": context.llm_config.get("model"),
                "user": context.user_id,
            }
            if name in self.during:
                await self.during[name]()
            try:
                answer = await method_of(following)(request, timeout=20) if following else b"[]"
            except aio.AioRpcError as error:  # a service that passes on the errors that it gets
                await servicer_context.abort(error.code(), error.details() or "")
            return json.dumps([step, *json.loads(answer)]).encode()

        return do


@pytest.fixture
async def chain(server: Server) -> AsyncIterator[Chain]:
    """Four running services."""
    async with Chain(server) as chain:
        yield chain


@pytest.fixture
async def conversation(owner: AsyncContextClient, key: ContextKey) -> ContextRef:
    """A conversation of an agent."""
    await owner.put(AGENT, ExecutionContext(llm_config={"model": "old"}))
    return await owner.put(key, ExecutionContext(user_id="u-1", includes=(AGENT,)))


async def until_told(client: AsyncContextClient, key: ContextKey, revision: int) -> None:
    """Wait until the server has the write in its memory, which may answer."""

    async def is_told() -> bool:
        try:
            return client.peek(ContextRef(key, revision)) is not None
        except NotFoundError:
            return True

    await until_async(is_told)


async def test_every_service_works_with_the_same_context(
    chain: Chain, owner: AsyncContextClient, conversation: ContextRef
) -> None:
    """Along a chain of four services, each has the caller's composed settings."""
    with use_context(await owner.resolve(conversation)):
        steps = await chain.turn()
    assert [step["service"] for step in steps] == list(SERVICES)
    assert {step["key"] for step in steps} == {conversation.key.text}
    assert {(step["model"], step["user"]) for step in steps} == {("old", "u-1")}
    assert {step["revision"] for step in steps} == {conversation.revision}


@pytest.mark.parametrize("where", SERVICES)
async def test_a_change_in_the_middle_of_a_turn(
    chain: Chain, owner: AsyncContextClient, conversation: ContextRef, where: str
) -> None:
    """A callee uses its caller's context or a newer one: the revision never decreases."""

    async def change() -> None:
        ref = await owner.put(AGENT, ExecutionContext(llm_config={"model": "new"}))
        await until_told(owner, conversation.key, ref.revision)

    chain.during[where] = change
    with use_context(await owner.resolve(conversation)):
        steps = await chain.turn()
    revisions = [step["revision"] for step in steps]
    assert revisions == sorted(revisions)
    before = SERVICES.index(where) + 1
    assert [step["model"] for step in steps] == ["old"] * before + ["new"] * (4 - before)


async def test_one_put_changes_every_service(
    chain: Chain, owner: AsyncContextClient, conversation: ContextRef
) -> None:
    """After one Put of the agent's owner, the next turn uses the new settings in every service."""
    with use_context(await owner.resolve(conversation)):
        assert {step["model"] for step in await chain.turn()} == {"old"}
    ref = await owner.put(AGENT, ExecutionContext(llm_config={"model": "new"}))
    with use_context(await owner.resolve(conversation)):
        steps = await chain.turn()
    assert {step["model"] for step in steps} == {"new"}
    assert {step["revision"] for step in steps} == {ref.revision}


async def test_a_fence_that_nobody_has_reached(
    chain: Chain, owner: AsyncContextClient, conversation: ContextRef
) -> None:
    """A caller with a later fence than the store is refused at once, not given an older context."""
    entry = await owner.resolve(conversation)
    ahead = replace(entry, revision=entry.revision + (1 << 30))
    with use_context(ahead), pytest.raises(aio.AioRpcError) as caught:
        await chain.turn()
    assert caught.value.code() is StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "the call's context is newer than the store"


async def test_the_end_of_a_context_in_the_middle(
    chain: Chain, owner: AsyncContextClient, conversation: ContextRef
) -> None:
    """If the tenant is invalidated amid a turn, the next service refuses the call."""
    reached: list[str] = []

    async def invalidate() -> None:
        ended = await owner.invalidate_tenant("acme")
        await until_told(owner, conversation.key, ended.revision)

    async def reach() -> None:
        reached.append("query")

    chain.during.update(execution=invalidate, query=reach)
    with use_context(await owner.resolve(conversation)), pytest.raises(aio.AioRpcError) as caught:
        await chain.turn()
    assert caught.value.code() is StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "the call's context does not exist"
    assert reached == []


async def test_a_chain_with_two_conversations(
    chain: Chain, owner: AsyncContextClient, conversation: ContextRef
) -> None:
    """A change of one conversation's agent does not affect another conversation."""
    other_agent = ContextKey("agent_config", "acme", "billing")
    await owner.put(other_agent, ExecutionContext(llm_config={"model": "old"}))
    other = await owner.put(
        ContextKey("conversation", "acme", "c-2"),
        ExecutionContext(user_id="u-2", includes=(other_agent,)),
    )
    await owner.update(AGENT, {"llm_config": {"model": "new"}})
    found = {}
    for ref in (conversation, other):
        with use_context(await owner.resolve(ref)):
            found[ref.key] = {(step["model"], step["user"]) for step in await chain.turn()}
    assert found == {conversation.key: {("new", "u-1")}, other.key: {("old", "u-2")}}
