"""A client with a cache: contexts that are local, and current."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
)
from relevo_server.server import Server
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c1")
AGENT = ContextKey("agent_config", "acme", "a1")


async def local(client: AsyncContextClient, target: ContextKey | ContextRef) -> ContextEntry:
    """The context, once the client has it."""
    await until_async(lambda: asyncio.sleep(0.005, client.peek(target) is not None))
    found = client.peek(target)
    assert found is not None
    return found


def said(client: AsyncContextClient, name: str) -> Callable[[], Awaitable[bool]]:
    """Whether what the client has is somebody's."""

    async def is_said() -> bool:
        await asyncio.sleep(0.005)
        found = client.peek(KEY)
        return found is not None and found.context.user_id == name

    return is_said


async def test_what_was_resolved_is_local(client: AsyncContextClient) -> None:
    """After the first time nothing is asked, and the answer is the store's."""
    assert client.peek(KEY) is None
    ref = await client.put(KEY, ExecutionContext(user_id="u", llm_config={"model": "m"}))
    first = await client.resolve(ref)
    found = await local(client, ref)
    assert (found.context, found.version) == (first.context, first.version)
    assert client.peek(ref) is found


async def test_a_change_comes_by_itself(server: Server, client: AsyncContextClient) -> None:
    """Another client's Put, and its Invalidate, reach this one without being asked for."""
    async with AsyncContextClient(server.address) as other:
        await other.put(KEY, ExecutionContext(user_id="u"))
        await local(client, KEY)
        await other.put(KEY, ExecutionContext(user_id="v"))
        await until_async(said(client, "v"))
        await other.invalidate(KEY)

        async def is_known_to_be_absent() -> bool:
            await asyncio.sleep(0.005)
            try:
                client.peek(KEY)
            except NotFoundError:
                return True
            return False

        await until_async(is_known_to_be_absent)
        await other.put(KEY, ExecutionContext(user_id="w"))
        await until_async(said(client, "w"))


async def test_what_comes_after_a_fence(client: AsyncContextClient) -> None:
    """A call never gets an older context than its fence, cached or not."""
    ref = await client.put(KEY, ExecutionContext(user_id="0"))
    await local(client, ref)
    for i in range(1, 50):
        ref = await client.put(KEY, ExecutionContext(user_id=str(i)))
        found = await client.resolve(ref)
        assert found.context.user_id == str(i)
        assert found.revision >= ref.revision


async def test_layers(client: AsyncContextClient) -> None:
    """A context is composed from what it includes, and one write to a layer changes it."""
    await client.put(AGENT, ExecutionContext(llm_config={"model": "m1", "temperature": 1}))
    await client.put(KEY, ExecutionContext(includes=(AGENT,), llm_config={"temperature": 0}))
    found = await local(client, KEY)
    assert found.context.llm_config == {"model": "m1", "temperature": 0}
    assert [layer.key for layer in found.layers] == [AGENT]
    ref = await client.update(AGENT, {"llm_config": {"model": "m2"}})
    composed = await client.resolve(ContextRef(KEY, ref.revision))
    assert composed.context.llm_config == {"model": "m2", "temperature": 0}
    found = await local(client, ContextRef(KEY, ref.revision))
    assert found.context.llm_config == {"model": "m2", "temperature": 0}
    assert found.revision == ref.revision


async def test_a_layer_that_ends(client: AsyncContextClient) -> None:
    """A context whose layer is missing is an error that names it, never a smaller context."""
    await client.put(AGENT, ExecutionContext(llm_config={"model": "m1"}))
    await client.put(KEY, ExecutionContext(includes=(AGENT,)))
    await local(client, KEY)
    ended = await client.invalidate(AGENT)
    with pytest.raises(IncompleteContextError) as caught:
        await client.resolve(ContextRef(KEY, ended.revision))
    assert caught.value.missing == (AGENT.text,)


async def test_the_reference_waits_for_nothing_else(client: AsyncContextClient) -> None:
    """Writes that are not about a context do not move the fence that it passes on."""
    ref = await client.put(KEY, ExecutionContext(user_id="u"))
    for i in range(5):
        await client.put(ContextKey("conversation", "acme", f"other-{i}"), ExecutionContext())
    assert (await local(client, KEY)).ref == ref


async def test_what_is_handed_out_is_immutable(client: AsyncContextClient) -> None:
    """Nobody can change a copy for others."""
    await client.put(KEY, ExecutionContext(llm_config={"stop": ["a"]}))
    found = (await local(client, KEY)).context
    with pytest.raises(TypeError):
        found.llm_config["stop"] = []  # type: ignore[index]


async def test_without_a_cache(server: Server) -> None:
    """A client that was not asked to keep anything keeps nothing."""
    async with AsyncContextClient(server.address) as client:
        await client.put(KEY, ExecutionContext())
        await client.resolve(KEY)
        assert client.peek(KEY) is None
