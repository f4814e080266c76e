"""ASGI applications, driven directly and by a real server."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvicorn
from relevo_client import current_context, current_ref
from relevo_client.asgi import ASGIApp, ContextMiddleware, Receive, Scope, Send

Pairs = Iterable[tuple[str | bytes, str | bytes]]

Edge = Callable[..., ContextMiddleware]
"""Makes the middleware around an application, with rules."""

HEADERS = {"X-Tenant-ID": "acme", "X-Conversation-ID": "c-1"}
"""The headers of a request that names a conversation."""


class Answer(NamedTuple):
    """The response to a request."""

    status: int
    headers: dict[str, str]
    body: Any
    """The JSON document."""


def scope_of(headers: Pairs = (), *, kind: str = "http", **more: Any) -> dict[str, Any]:
    """The scope of a request or handshake, as a server makes it; bytes stay unchanged."""
    wire = [
        (name if isinstance(name, bytes) else name.lower().encode(), _bytes(value))
        for name, value in headers
    ]
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "path": "/talk",
        "headers": wire,
        "extensions": {},
        **more,
    }


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


async def ask(app: ASGIApp, headers: Pairs = (), **more: Any) -> Answer:
    """Pass one HTTP request to an application, as a server does, and return the response."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of(headers, **more), receive, send)
    start, *bodies = sent
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        json.loads(b"".join(body["body"] for body in bodies)),
    )


async def handshake(app: ASGIApp, headers: Pairs = (), **more: Any) -> list[Any]:
    """The messages of an application to a client that opens a WebSocket and sends nothing."""
    sent: list[Any] = []
    coming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}]

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of(headers, kind="websocket", **more), receive, send)
    return sent


def seen() -> dict[str, Any]:
    """The current context, as JSON."""
    context, ref = current_context(), current_ref()
    return {
        "context": context and context.to_cache_dict(),
        "key": ref and ref.key.text,
        "revision": ref and str(ref.revision),
    }


async def see(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that responds with its current context and the names of its headers."""
    del receive
    await respond(send, {**seen(), "names": [name.decode() for name, _ in scope["headers"]]})


async def respond(send: Send, body: Any) -> None:
    """Answer with a JSON document."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str, None]:
    """Run a real server on a free port of the loopback address. Yields host:port."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="websockets-sansio")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # From here on connections are queued, so nobody must wait until the server is ready.
        task = asyncio.create_task(server.serve(sockets=[listening]))
        host, port = listening.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            server.should_exit = True
            await task
