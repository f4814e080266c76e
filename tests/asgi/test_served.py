"""The middleware under a real server: streamed bodies, kept connections, WebSockets."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from relevo_client import AsyncContextClient, context_headers, current_context, require_context
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from support.servers.asgi import HEADERS, Edge, seen, serving
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


def conversation(name: str, tenant: str = "globex") -> dict[str, str]:
    """The headers of a user's conversation."""
    return {"X-Tenant-ID": tenant, "X-Conversation-ID": name, "X-User-ID": f"user of {name}"}


def user() -> str | None:
    """The current user."""
    context = current_context()
    return context.user_id if context else None


async def in_task() -> str | None:
    """The current user in a new task."""
    return await asyncio.create_task(asyncio.to_thread(user))


async def test_streamed_bodies(edge: Edge) -> None:
    """The context is current for each chunk in and out, and in tasks created meanwhile."""
    finally_seen: list[str | None] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            more = True
            while more:
                message = await receive()
                more = message["more_body"]
                said = [user(), await in_task(), message["body"].decode()]
                await send(
                    {
                        "type": "http.response.body",
                        "body": json.dumps(said).encode() + b"\n",
                        "more_body": more,
                    }
                )
        finally:
            finally_seen.append(user())

    async def body() -> AsyncGenerator[bytes, None]:
        for i in range(3):
            yield f"chunk {i}".encode()

    async with serving(edge(app)) as address, httpx.AsyncClient() as client:
        answer = await client.post(f"http://{address}", headers=conversation("c-1"), content=body())
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(line[2] for line in lines) == "chunk 0chunk 1chunk 2"
    assert all(line[:2] == ["user of c-1"] * 2 for line in lines)
    assert finally_seen == ["user of c-1"]


async def test_a_connection_that_stays(edge: Edge) -> None:
    """Requests on one connection each have their own context, or none."""

    async def app(scope: Any, _: Any, send: Any) -> None:
        body = json.dumps([user(), scope["client"][1]]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async with serving(edge(app)) as address, httpx.AsyncClient() as client:
        answers = [
            (await client.get(f"http://{address}", headers=headers)).json()
            for headers in (conversation("c-1"), {}, conversation("c-2"), {}, conversation("c-1"))
        ]
    assert [who for who, _ in answers] == ["user of c-1", None, "user of c-2", None, "user of c-1"]
    assert len({port for _, port in answers}) == 1


async def test_many_tenants_at_once(edge: Edge, begin: Any) -> None:
    """Concurrent requests each have their own tenant from beginning to end."""
    barrier = asyncio.Barrier(20)

    async def app(_: Any, __: Any, send: Any) -> None:
        before = require_context()
        await barrier.wait()
        after = require_context()
        assert before is after
        body = f"{after.tenant_id} {user()} {context_headers()['context-key']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def turn(client: httpx.AsyncClient, i: int) -> None:
        tenant, name = f"tenant-{i % 10}", f"c-{i}"
        for _ in range(2):
            answer = await client.get("/", headers=conversation(name, tenant))
            assert answer.text == f"{tenant} user of {name} conversation:{tenant}:{name}"

    async with (
        asyncio.timeout(20),
        serving(edge(app)) as address,
        httpx.AsyncClient(base_url=f"http://{address}") as client,
    ):
        await asyncio.gather(*(turn(client, i) for i in range(20)))
    assert len(begin.identities) == 20


async def echo(websocket: WebSocket) -> None:
    """Answer each message with the current user."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{user()} {await in_task()} {text}")


async def test_websockets_side_by_side(edge: Edge) -> None:
    """Each connection has its own context for each of its messages."""
    app = edge(Starlette(routes=[WebSocketRoute("/", echo)]))
    async with (
        serving(app) as address,
        connect(f"ws://{address}/", additional_headers=conversation("c-1")) as one,
        connect(f"ws://{address}/", additional_headers=conversation("c-2")) as two,
        connect(f"ws://{address}/") as nobody,
    ):
        for i in range(3):
            for who, websocket in (("user of c-1", one), ("user of c-2", two), (None, nobody)):
                await websocket.send(str(i))
                assert await websocket.recv() == f"{who} {who} {i}"


async def test_a_websocket_that_is_refused(edge: Edge) -> None:
    """The client of a refused handshake gets the status and the reason in HTTP."""
    app = edge(Starlette(routes=[WebSocketRoute("/", echo)]))
    async with serving(app) as address:
        headers = {**HEADERS, "X-User-ID": "x" * 257}
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://{address}/", additional_headers=headers)
    response = caught.value.response
    assert response.status_code == 400
    assert json.loads(response.body or b"") == {
        "error": {"reason": "INVALID_HEADER", "message": "X-User-ID: must have at most 256 bytes"}
    }


async def test_a_request_that_is_refused(edge: Edge) -> None:
    """A refusal reaches the client whole, with any method, and the connection stays open."""
    async with serving(edge()) as address, httpx.AsyncClient() as client:
        for method in ("GET", "HEAD", "POST"):
            answer = await client.request(
                method, f"http://{address}", headers={"X-Tenant-ID": "acme"}
            )
            assert (answer.status_code, bool(answer.content)) == (400, method != "HEAD")
        assert (await client.get(f"http://{address}")).status_code == 200


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """A middleware that does nothing."""
    return await call_next(request)


async def test_a_starlette_application(store: LocalStore, begin: Any) -> None:
    """As Starlette's middleware: for endpoints in threads, streams and background tasks."""
    later: list[str | None] = []

    async def on_loop(_: Request) -> Response:
        return JSONResponse(seen()["key"], background=BackgroundTask(lambda: later.append(user())))

    def in_thread(_: Request) -> Response:
        return JSONResponse(user())

    async def streamed(_: Request) -> Response:
        async def parts() -> AsyncGenerator[str, None]:
            for _ in range(3):
                yield f"{user()} "
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    # Created outside of an event loop, as services do.
    contexts = AsyncContextClient(store.address, timeout=10)
    app = Starlette(
        routes=[Route("/loop", on_loop), Route("/thread", in_thread), Route("/stream", streamed)],
        # Starlette's BaseHTTPMiddleware runs the inner application in its own task.
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=pass_on),
            Middleware(ContextMiddleware, contexts=contexts, begin=begin),
            Middleware(BaseHTTPMiddleware, dispatch=pass_on),
        ],
    )
    async with (
        contexts,
        serving(app) as address,
        httpx.AsyncClient(base_url=f"http://{address}", headers=conversation("c-9")) as client,
    ):
        assert (await client.get("/loop")).json() == "conversation:globex:c-9"
        assert (await client.get("/thread")).json() == "user of c-9"
        assert (await client.get("/stream")).text == "user of c-9 " * 3
    assert later == ["user of c-9"]
