"""Refusals of requests that reach no page, in plain text."""

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    """Answer a request or the opening of a WebSocket with a status."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope["extensions"]:
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    response = PlainTextResponse(f"{why}\n", status)
    await response(scope, receive, send)
