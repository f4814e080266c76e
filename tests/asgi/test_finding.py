"""A request finds the conversation that its headers name, or begins it."""

import asyncio
from typing import Any

import pytest
from relevo_client import ConflictError, ContextKey, ExecutionContext, use_context
from relevo_client.asgi import Scope
from relevo_client.testing import LocalStore
from support.entries import entry_of
from support.servers.asgi import HEADERS, Edge, ask, handshake, respond, scope_of, seen

KEY = ContextKey("conversation", "acme", "c-1")

IDENTITY = {
    **HEADERS,
    "X-Agent-ID": "support",
    "X-Tenant-Tier": "gold",
    "X-Session-ID": "s-1",
    "X-User-ID": "u-1",
}


async def test_a_conversation_begins(edge: Edge, begin: Any, store: LocalStore) -> None:
    """A conversation that the store lacks is created by `begin`, stored, composed and current."""
    answer = await ask(edge(), IDENTITY.items())
    assert answer.status == 200
    context = answer.body["context"]
    assert context["llm_config"] == {"model": "m-1", "temperature": 0.5}
    assert (context["agent_id"], context["tenant_tier"]) == ("support", "gold")
    assert (context["session_id"], context["user_id"]) == ("s-1", "u-1")
    assert answer.body["key"] == "conversation:acme:c-1"
    assert begin.identities == [
        ExecutionContext(
            tenant_id="acme",
            conversation_id="c-1",
            agent_id="support",
            tenant_tier="gold",
            session_id="s-1",
            user_id="u-1",
        )
    ]
    assert store.client.get(KEY).context.metadata == {"begun": True}


async def test_a_conversation_goes_on(edge: Edge, begin: Any) -> None:
    """A stored conversation is not begun again, and has the fields that the headers omit."""
    app = edge()
    await ask(app, IDENTITY.items())
    answer = await ask(app, HEADERS.items())
    assert answer.body["context"]["user_id"] == "u-1"
    assert len(begin.identities) == 1


async def test_a_conversation_of_an_other_scope(edge: Edge, store: LocalStore) -> None:
    """The owner chooses the scope of conversation keys."""
    assert (await ask(edge(scope="chat"), HEADERS.items())).body["key"] == "chat:acme:c-1"
    assert store.client.get(ContextKey("chat", "acme", "c-1")).version


async def test_many_begin_one_conversation(edge: Edge, begin: Any) -> None:
    """Concurrent requests for one conversation share one call of `begin`."""
    app = edge()
    answers = await asyncio.gather(*(ask(app, HEADERS.items()) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len(begin.identities) == 1


async def test_a_change_counts_from_the_next_request_on(edge: Edge, store: LocalStore) -> None:
    """A change shows from the next request on, although the conversation is cached."""
    app = edge()
    first = await ask(app, HEADERS.items())
    ref = store.client.update(
        ContextKey("agent_config", "acme", "support"), {"llm_config": {"model": "m-2"}}
    )
    headers = {"context-key": first.body["key"], "context-revision": str(ref.revision)}
    answer = await ask(edge(trust_callers=True), headers.items())
    assert answer.body["context"]["llm_config"]["model"] == "m-2"


async def test_a_request_that_names_none(edge: Edge, begin: Any) -> None:
    """A request without a conversation has no context, not even an ambient one.

    Its other headers are not validated.
    """
    with use_context(entry_of("ambient")):
        answer = await ask(edge(), [("X-User-ID", ""), ("X-Agent-ID", b"\xff")])
    assert (answer.status, answer.body["context"], answer.body["key"]) == (200, None, None)
    assert begin.identities == []


async def test_an_exempt_request(edge: Edge, begin: Any) -> None:
    """An exempt request has no context, with any headers, and begins no conversation."""

    def is_health(scope: Scope) -> bool:
        return str(scope["path"]).startswith("/health")

    app = edge(exempt=is_health)
    answer = await ask(app, {**HEADERS, "X-User-ID": "\x01"}.items(), path="/health")
    assert (answer.status, answer.body["context"]) == (200, None)
    assert (await ask(app, HEADERS.items())).body["key"]
    assert len(begin.identities) == 1


async def test_the_scope_is_the_servers_own(edge: Edge) -> None:
    """Values that the application puts into the scope are visible to outer middlewares."""

    async def app(scope: Scope, _: Any, __: Any) -> None:
        scope["route"] = "/talk/{who}"

    scope = scope_of(HEADERS.items())
    await edge(app)(scope, nothing, nothing)
    assert scope["route"] == "/talk/{who}"


async def nothing(*_: Any) -> Any:
    """Neither receives nor sends anything."""


async def test_lifespan_passes(edge: Edge) -> None:
    """An event that is neither HTTP nor WebSocket reaches the application unchanged."""
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.extend(arguments)

    arguments = {"type": "lifespan"}, object(), object()
    await edge(app)(*arguments)  # type: ignore[arg-type]
    assert all(given is taken for given, taken in zip(arguments, passed, strict=True))


async def test_a_websocket_has_its_context(edge: Edge) -> None:
    """The headers of a handshake name the conversation of the whole connection."""
    users: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope
        while (await receive())["type"] != "websocket.disconnect":
            users.append(seen()["key"])
            await send({"type": "websocket.accept"})
        users.append(seen()["key"])

    sent = await handshake(edge(app), HEADERS.items())
    assert sent == [{"type": "websocket.accept"}]
    assert users == ["conversation:acme:c-1"] * 2


async def test_a_block_that_ends_within_a_request(edge: Edge) -> None:
    """A request keeps its context to its end, even if another block ends in its task."""
    block = use_context(entry_of("outer"))
    keys: list[Any] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        block.__exit__(None, None, None)
        keys.append(seen()["key"])
        await respond(send, None)

    block.__enter__()
    await ask(edge(app), HEADERS.items())
    assert keys == ["conversation:acme:c-1"]
    assert seen()["context"] is None


async def test_nothing_is_left_behind(edge: Edge) -> None:
    """After a request its task has its previous context, even if a block was left open."""
    left: list[Any] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        block = use_context(entry_of("inner"))
        block.__enter__()
        left.append(block)
        await respond(send, None)

    await ask(edge(app), HEADERS.items())
    assert seen()["context"] is None
    with use_context(entry_of("outer")):
        await ask(edge(app), HEADERS.items())
        left[0].__exit__(None, None, None)
        left[1].__exit__(None, None, None)
        context = seen()["context"]
        assert context
        assert context["user_id"] == "outer"
    assert seen()["context"] is None


async def test_a_request_that_is_given_up(edge: Edge) -> None:
    """If a server cancels a request, no context remains in its task either."""
    reached = asyncio.Event()

    async def app(*_: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def serve() -> None:
        try:
            await ask(edge(app), HEADERS.items())
        finally:
            left.append(seen()["context"])

    left: list[Any] = []
    task = asyncio.create_task(serve())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left == [None]


async def test_what_the_application_raises(edge: Edge) -> None:
    """An exception of the application passes unchanged to the server."""

    async def app(*_: Any) -> None:
        raise ConflictError("the application's own", reason="OWN")

    with pytest.raises(ConflictError, match="own"):
        await ask(edge(app), HEADERS.items())
    assert seen()["context"] is None
