"""A client with a near cache: contexts are local, and current."""

import logging
import random
from collections.abc import Awaitable, Callable

import pytest
from relevo_client import (
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
)
from relevo_server.server import Server
from support.clients.either import KEY, Ask, Either, opened
from support.network.ports import NOBODY
from support.servers.shapes import Kind
from support.waiting import until_async

AGENT = ContextKey("agent_config", "acme", "a1")


def has_user(client: Either, name: str | None) -> Callable[[], Awaitable[bool]]:
    """A condition: the cached entry has this user, or for None, is known to be absent."""

    async def is_current() -> bool:
        try:
            found = client.peek(KEY)
        except NotFoundError:
            return name is None
        return found is not None and found.context.user_id == name

    return is_current


def putting(context: ExecutionContext, key: ContextKey = KEY) -> Ask:
    """A Put of the context."""
    return lambda client: client.put(key, context)


def resolving(target: ContextKey | ContextRef) -> Ask:
    """A resolution of the key."""
    return lambda client: client.resolve(target)


async def test_what_was_resolved_is_local(client: Either) -> None:
    """After the first resolution no call reaches the store, and the result is the store's."""
    assert client.peek(KEY) is None
    ref = await client.ask(putting(ExecutionContext(user_id="u", llm_config={"model": "m"})))
    first = await client.ask(resolving(ref))
    found = await client.local(ref)
    assert (found.context, found.version) == (first.context, first.version)
    assert client.peek(ref) is found


async def test_a_change_comes_by_itself(server: Server, kind: Kind, client: Either) -> None:
    """Another client's Put or Invalidate reaches this client's cache without a request."""
    async with opened(kind, server.address) as other:
        await other.ask(putting(ExecutionContext(user_id="u")))
        await client.local(KEY)
        await other.ask(putting(ExecutionContext(user_id="v")))
        await until_async(has_user(client, "v"))
        await other.ask(lambda client: client.invalidate(KEY))
        await until_async(has_user(client, None))
        await other.ask(putting(ExecutionContext(user_id="w")))
        await until_async(has_user(client, "w"))


async def test_what_comes_after_a_fence(client: Either) -> None:
    """A call never gets an older context than its fence, cached or not."""
    ref = await client.ask(putting(ExecutionContext(user_id="0")))
    await client.local(ref)
    for i in range(1, 50):
        ref = await client.ask(putting(ExecutionContext(user_id=str(i))))
        found = await client.ask(resolving(ref))
        assert found.context.user_id == str(i)
        assert found.revision >= ref.revision


async def test_layers(client: Either) -> None:
    """A context is composed from the entries that it includes, and a layer's change shows in it."""
    await client.ask(putting(ExecutionContext(llm_config={"model": "m1", "temperature": 1}), AGENT))
    await client.ask(putting(ExecutionContext(includes=(AGENT,), llm_config={"temperature": 0})))
    found = await client.local(KEY)
    assert found.context.llm_config == {"model": "m1", "temperature": 0}
    assert [layer.key for layer in found.layers] == [AGENT]
    ref = await client.ask(lambda client: client.update(AGENT, {"llm_config": {"model": "m2"}}))
    composed = await client.ask(resolving(ContextRef(KEY, ref.revision)))
    assert composed.context.llm_config == {"model": "m2", "temperature": 0}
    found = await client.local(ContextRef(KEY, ref.revision))
    assert found.context.llm_config == {"model": "m2", "temperature": 0}
    assert found.revision == ref.revision


async def test_a_layer_that_ends(client: Either) -> None:
    """A context with a missing layer is an error that names the layer, never a smaller context."""
    await client.ask(putting(ExecutionContext(llm_config={"model": "m1"}), AGENT))
    await client.ask(putting(ExecutionContext(includes=(AGENT,))))
    await client.local(KEY)
    ended = await client.ask(lambda client: client.invalidate(AGENT))
    with pytest.raises(IncompleteContextError) as caught:
        await client.ask(resolving(ContextRef(KEY, ended.revision)))
    assert caught.value.missing == (AGENT.text,)


async def test_the_reference_waits_for_nothing_else(client: Either) -> None:
    """Writes of other entries do not advance the fence that a client passes on."""
    ref = await client.ask(putting(ExecutionContext(user_id="u")))
    for i in range(5):
        await client.ask(
            putting(ExecutionContext(), ContextKey("conversation", "acme", f"other-{i}"))
        )
    assert (await client.local(KEY)).ref == ref


async def test_what_is_handed_out_is_immutable(client: Either) -> None:
    """A caller cannot change a context for other callers."""
    await client.ask(putting(ExecutionContext(llm_config={"stop": ["a"]})))
    found = (await client.local(KEY)).context
    with pytest.raises(TypeError):
        found.llm_config["stop"] = []  # type: ignore[index]


async def test_without_a_cache(server: Server, kind: Kind) -> None:
    """A client without a cache keeps no entries."""
    async with opened(kind, server.address, cache=None) as client:
        await client.ask(putting(ExecutionContext()))
        await client.ask(resolving(KEY))
        assert client.peek(KEY) is None


async def test_the_programs_random_numbers_are_its_own(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """A client waits for random times, and takes no numbers from a program's own generator."""
    caplog.set_level(logging.DEBUG)
    before = random.getstate()
    async with opened(kind, f"127.0.0.1:{NOBODY}", timeout=10) as client:
        client.peek(KEY)

        async def has_waited() -> bool:
            return caplog.text.count("the watch of the store has ended") >= 2

        await until_async(has_waited)
    assert random.getstate() == before
