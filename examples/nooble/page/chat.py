"""A conversation: between the browser's WebSocket and that of the platform's edge.

Browsers cannot set headers of a WebSocket, so the page's server speaks to the edge, with the
headers that a frontend of the platform sends.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from relevo_demo.launching import ProcessError
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from nooble.page.agents import Visitor
from nooble.page.log import BusyError
from nooble.page.platforms import TURN_TIMEOUT, Platform
from nooble.page.turns import Turn

LONGEST = 2000
"""The characters that a message may have."""
Render = Callable[[Turn], str]
"""Makes HTML of a turn."""


class Edge:
    """The conversation's connection to the orchestrator, opened on demand."""

    def __init__(self, platform: Platform, headers: Mapping[str, str]) -> None:
        self._platform = platform
        self._headers = headers
        self._connection: ClientConnection | None = None

    async def ask(self, text: str) -> Mapping[str, Any]:
        """Send a text, and return what the orchestrator said: an answer or an error."""
        try:
            async with asyncio.timeout(TURN_TIMEOUT + 3):
                self._connection = self._connection or await self._connect()
                await self._connection.send(text)
                said: Mapping[str, Any] = json.loads(await self._connection.recv())
        except InvalidStatus as refused:
            return _refusal(refused)
        except (OSError, WebSocketException, TimeoutError) as error:
            await self.aclose()
            return {"error": "NO_CONNECTION", "message": type(error).__name__}
        return said

    async def aclose(self) -> None:
        """Close the connection; the next turn opens another one."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(OSError, WebSocketException):
                await connection.close()

    async def _connect(self) -> ClientConnection:
        url = f"ws://{self._platform.orchestrator}/conversation"
        return await connect(url, additional_headers=self._headers)


def _refusal(refused: InvalidStatus) -> Mapping[str, Any]:
    """The error in the edge's refusal of a connection."""
    try:
        why = json.loads(refused.response.body)["error"]
        return {"error": str(why["reason"]), "message": str(why["message"])}
    except (ValueError, KeyError, TypeError):
        return {"error": "NO_CONNECTION", "message": f"HTTP {refused.response.status_code}"}


async def chat(
    websocket: WebSocket, platform: Platform, visitor: Visitor, way: Render, note: Render
) -> None:
    """Hold a conversation with a browser, until it goes.

    `way` makes the HTML of a turn's way, which is sent after each step; `note` that of what is
    remarkable about an ended turn.
    """
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        try:
            await platform.wait()
        except ProcessError as error:
            await websocket.send_json({"kind": "failed", "text": str(error)})
            return
        async with aclosing(Edge(platform, visitor.headers)) as edge:
            await websocket.send_json({"kind": "ready"})
            while True:
                text = (await websocket.receive_text()).strip()[:LONGEST]
                if text:
                    await _turn(websocket, platform, visitor, edge, text, way, note)


async def _turn(
    websocket: WebSocket,
    platform: Platform,
    visitor: Visitor,
    edge: Edge,
    text: str,
    way: Render,
    note: Render,
) -> None:
    changed = asyncio.Event()
    seen: list[Turn] = []

    def watch(turn: Turn) -> None:
        seen[:] = [turn]
        changed.set()

    async def follow() -> None:
        while True:
            await changed.wait()
            changed.clear()
            await websocket.send_json({"kind": "way", "html": way(seen[0])})

    following = asyncio.create_task(follow())
    try:
        agent, conversation = visitor.agent.key, visitor.conversation
        turn = await platform.take(agent, conversation, text, watch, edge.ask)
    except BusyError:
        await websocket.send_json({"kind": "busy"})
        return
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await websocket.send_json(
        {"kind": "answer", "text": turn.answer, "note": note(turn), "html": way(turn)}
    )
