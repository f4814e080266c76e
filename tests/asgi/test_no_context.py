"""Applications that require a context, for requests without a conversation."""

import asyncio
import logging
from typing import Any

import pytest
from relevo_client import (
    AsyncContextClient,
    Fallback,
    NoContextError,
    Policy,
    require_context,
    require_ref,
)
from relevo_client.asgi import ContextMiddleware, Receive, Scope, Send
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from support.servers.asgi import HEADERS, ask, handshake, respond

NO_CONVERSATION = {
    "error": {
        "reason": "NO_CONVERSATION",
        "message": "X-Tenant-ID and X-Conversation-ID: must name a conversation",
    }
}
DOWN = "127.0.0.1:1"


async def needs_one(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that requires a context."""
    del scope, receive
    await respond(send, require_context().user_id)


async def test_a_request_that_names_none(
    contexts: AsyncContextClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a request is refused as by a policy: 400, without a log record."""
    caplog.set_level(logging.DEBUG)
    answer = await ask(ContextMiddleware(needs_one, contexts))
    assert (answer.status, answer.body) == (400, NO_CONVERSATION)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_within_a_framework(contexts: AsyncContextClient) -> None:
    """The same holds for a framework's endpoint, if the middleware is one of the framework's."""

    async def endpoint(_: Request) -> Response:
        return Response(str(require_ref()))

    app = Starlette(
        routes=[Route("/talk", endpoint)],
        middleware=[Middleware(ContextMiddleware, contexts=contexts)],
    )
    more: dict[str, Any] = {
        "method": "GET",
        "query_string": b"",
        "root_path": "",
        "raw_path": b"/talk",
    }
    answer = await ask(app, **more)
    assert (answer.status, answer.body) == (400, NO_CONVERSATION)


async def test_around_a_framework(contexts: AsyncContextClient) -> None:
    """Around a framework, the middleware sees the exception after the framework's answer of 500."""

    async def endpoint(_: Request) -> Response:
        return Response(require_context().user_id)

    app = ContextMiddleware(Starlette(routes=[Route("/talk", endpoint)]), contexts)
    more: dict[str, Any] = {"method": "GET", "query_string": b"", "root_path": ""}
    with pytest.raises(NoContextError):
        await ask(app, **more)


async def test_tasks_of_a_group(contexts: AsyncContextClient) -> None:
    """An exception group of a TaskGroup's tasks counts as well."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        async def need() -> None:
            require_context()

        async with asyncio.TaskGroup() as group:
            group.create_task(need())

    assert (await ask(ContextMiddleware(app, contexts))).status == 400


async def test_a_websocket(contexts: AsyncContextClient) -> None:
    """A WebSocket is refused before it opens, and closed with the same reason afterwards."""

    def needs_one_after(*sent: str) -> Any:
        async def app(_: Scope, receive: Receive, send: Send) -> None:
            await receive()
            for kind in sent:
                await send({"type": kind})
            require_context()

        return app

    close = {
        "type": "websocket.close",
        "code": 1008,
        "reason": NO_CONVERSATION["error"]["message"],
    }
    assert await handshake(ContextMiddleware(needs_one, contexts)) == [close]
    assert await handshake(ContextMiddleware(needs_one_after(), contexts)) == [close]
    accepted = ContextMiddleware(needs_one_after("websocket.accept"), contexts)
    assert await handshake(accepted) == [{"type": "websocket.accept"}, close]
    closed = ContextMiddleware(needs_one_after("websocket.accept", "websocket.close"), contexts)
    with pytest.raises(NoContextError):
        await handshake(closed)


async def test_an_answer_that_has_begun(contexts: AsyncContextClient) -> None:
    """After an answer has begun, the exception is passed on to the server."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await respond(send, "begun")
        require_context()

    with pytest.raises(NoContextError):
        await ask(ContextMiddleware(app, contexts))


async def test_a_request_that_names_one() -> None:
    """If the policy proceeds and the application requires a context, the exception passes."""
    async with AsyncContextClient(DOWN, timeout=1) as client:
        policy = Policy(unavailable=Fallback.PROCEED)
        with pytest.raises(NoContextError):
            await ask(ContextMiddleware(needs_one, client, policy=policy), HEADERS.items())


async def test_other_exceptions_pass(contexts: AsyncContextClient) -> None:
    """Other exceptions of an application pass on to its server."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await ask(ContextMiddleware(app, contexts))
