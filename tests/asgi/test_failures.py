"""Requests whose context is unavailable: their answers, and the alternatives of a policy."""

import asyncio
from time import monotonic
from typing import Any

import pytest
from asgi.answers import FAILED, KEY, UNAVAILABLE, why
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    Fallback,
    LostContext,
    Policy,
    TooLargeError,
    UnavailableError,
    current_entry,
)
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, Answer, Edge, ask, handshake, respond, see
from support.servers.services import service, silence
from support.waiting import until_async

STORE = "relevo.v1.ContextStore"
DOWN = "127.0.0.1:1"


async def test_a_store_that_is_down() -> None:
    """If no store listens, the answer is 503 with a retry delay."""
    async with AsyncContextClient(DOWN) as client:
        answer = await ask(ContextMiddleware(see, client), HEADERS.items())
    assert why(answer) == UNAVAILABLE
    assert answer.headers["retry-after"] == "1"


async def test_a_store_that_is_silent() -> None:
    """All work before the application ends within `timeout`."""
    async with (
        service({"Get": silence}, name=STORE) as address,
        AsyncContextClient(address, timeout=30) as client,
    ):
        began = monotonic()
        answer = await ask(ContextMiddleware(see, client, timeout=0.2), HEADERS.items())
        assert why(answer) == UNAVAILABLE
        assert monotonic() - began < 5


async def test_policies_for_a_store_that_is_down() -> None:
    """By policy, a request continues without a context, or with a rebuilt one, in its timeout."""
    lost: list[LostContext] = []

    async def rebuild(call: LostContext) -> ExecutionContext:
        lost.append(call)
        return ExecutionContext(user_id="rebuilt")

    async def fail(_: LostContext) -> ExecutionContext:
        raise RuntimeError

    async def hang(_: LostContext) -> ExecutionContext:
        await asyncio.Event().wait()
        return ExecutionContext()

    async with AsyncContextClient(DOWN) as client:

        async def answer(unavailable: Any) -> Answer:
            policy = Policy(unavailable=unavailable)
            # Only a function that hangs uses up its time.
            timeout = 0.5 if unavailable is hang else 30.0
            app = ContextMiddleware(see, client, policy=policy, timeout=timeout)
            return await ask(app, HEADERS.items())

        assert (await answer(Fallback.PROCEED)).body["context"] is None
        body = (await answer(rebuild)).body
        assert (body["context"]["user_id"], body["key"]) == ("rebuilt", KEY.text)
        assert why(await answer(Fallback.LAST_KNOWN)) == UNAVAILABLE
        assert why(await answer(fail)) == FAILED
        assert why(await answer(hang)) == UNAVAILABLE
    (call,) = lost
    assert (call.method, call.ref and call.ref.key) == ("/talk", KEY)
    assert ("x-tenant-id", "acme") in call.metadata
    assert isinstance(call.error, UnavailableError)


async def test_the_last_known_copy() -> None:
    """If the store is unavailable, a request gets the last known context, marked as stale."""
    stale: list[bool] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        entry = current_entry()
        assert entry
        stale.append(entry.is_stale)
        await respond(send, entry.context.user_id)

    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext(user_id="u-1"))
        client = AsyncContextClient(store.address, timeout=10)
        policy = Policy(unavailable=Fallback.LAST_KNOWN)
        edge = ContextMiddleware(app, client, policy=policy)
        assert (await ask(edge, HEADERS.items())).body == "u-1"

        async def is_cached() -> bool:
            return client.peek(KEY) is not None

        await until_async(is_cached)
    # The client may not have noticed the store's end; an update asks the store anyway.
    edge = ContextMiddleware(app, client, policy=policy, overrides={"X-M": "llm_config.model"})
    headers = {**HEADERS, "X-M": "m"}
    assert (await ask(edge, headers.items())).body == "u-1"
    assert stale == [False, True]
    assert (await ask(edge, {**headers, "X-User-ID": "u-2"}.items())).status == 403
    await client.close()


async def test_a_request_that_names_no_conversation(contexts: AsyncContextClient) -> None:
    """By policy, a request without a conversation is 400, or gets a rebuilt context."""
    app = ContextMiddleware(see, contexts, policy=Policy(no_reference=Fallback.REJECT))
    assert why(await ask(app)) == (
        400,
        "NO_CONVERSATION",
        "X-Tenant-ID and X-Conversation-ID: must name a conversation",
    )

    async def visitor(_: LostContext) -> ExecutionContext:
        return ExecutionContext(user_id="visitor")

    app = ContextMiddleware(see, contexts, policy=Policy(no_reference=visitor))
    answer = await ask(app)
    assert (answer.body["context"]["user_id"], answer.body["key"]) == ("visitor", None)


async def test_an_incomplete_context(edge: Edge, store: LocalStore) -> None:
    """A missing layer is 409 with a fixed text, and not a smaller context."""
    missing = ContextKey("agent_config", "acme", "secret-agent")
    store.client.put(KEY, ExecutionContext(includes=(missing,)))
    answer = await ask(edge(), HEADERS.items())
    assert why(answer) == (409, "INCOMPLETE", "the call's context is incomplete")


@pytest.mark.parametrize(
    "header, status, reason, message",
    [
        ("X-User-ID", 403, "OTHER_USER", "X-User-ID: not the conversation's user"),
        ("X-Agent-ID", 409, "OTHER_AGENT", "X-Agent-ID: not the conversation's agent"),
    ],
)
async def test_headers_that_contradict_the_conversation(
    *,
    edge: Edge,
    contexts: AsyncContextClient,
    store: LocalStore,
    header: str,
    status: int,
    reason: str,
    message: str,
) -> None:
    """Another user is 403, another agent 409; fields that the conversation omits are free."""
    headers = {**HEADERS, header: "other"}
    store.client.put(KEY, ExecutionContext())
    assert (await ask(edge(), headers.items())).status == 200
    ref = store.client.put(KEY, ExecutionContext(user_id="u-1", agent_id="support"))

    async def is_known() -> bool:
        return contexts.peek(ref) is not None

    await until_async(is_known)
    assert why(await ask(edge(), headers.items())) == (status, reason, message)


async def test_a_begin_whose_store_has_too_many_calls(contexts: AsyncContextClient) -> None:
    """A store with too many calls is 503, like one that is unavailable."""

    async def begin(_: ExecutionContext) -> ExecutionContext:
        raise TooLargeError("internals", reason="TOO_MANY_REQUESTS")

    answer = await ask(ContextMiddleware(see, contexts, begin=begin), HEADERS.items())
    assert (why(answer), answer.headers["retry-after"]) == (UNAVAILABLE, "1")


async def test_a_handshake_that_is_refused(edge: Edge) -> None:
    """A refused WebSocket does not open; if the server can, it sends the reason in HTTP."""
    headers = {**HEADERS, "X-User-ID": ""}.items()
    reason = "X-User-ID: must not be empty"
    assert await handshake(edge(), headers) == [
        {"type": "websocket.close", "code": 1008, "reason": reason}
    ]
    start, body = await handshake(edge(), headers, extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 400)
    assert body["type"] == "websocket.http.response.body"
    assert reason.encode() in body["body"]
    (close,) = await handshake(edge(), [(name, b"\xff") for name in (*HEADERS, *SIX)])
    assert len(close["reason"].encode()) <= 123


SIX = "X-Agent-ID", "X-Tenant-Tier", "X-Session-ID", "X-User-ID"


def test_what_no_middleware_can_do(edge: Edge) -> None:
    """Rules that cannot hold are refused when the middleware is created."""
    for name, value, wrong in (
        ("policy", Policy(lazy=True), "lazy"),
        ("timeout", 0, "more than 0"),
        ("scope", "", "scope: must not be empty"),
        ("overrides", {"X-M": "model"}, "section"),
    ):
        with pytest.raises(ValueError, match=wrong):
            edge(**{name: value})
