"""The platform's page, served in this process on a platform of real processes."""

import json
import re
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest
from nooble.page.app import PlatformPage
from nooble.wiring import Mode
from relevo_demo import launching
from relevo_web.events import Streams
from relevo_web.serving import listen
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from support.platform.launching import start as forked

LONG = 240.0
"""Seconds for operations that may be slow on a busy machine."""
WHO = {"agent": "meridian/support", "user": "u-1"}
"""The agent and the user that tests take, as the page's address has them."""
_launched = launching.start


async def _start(*command: str, **environment: str) -> Process:
    """Fork a process. A Redis is started with a group of its own, which is killed as a whole."""
    module, *_ = command
    start = _launched if module == "nooble.redis_server" else forked
    return await start(*command, **environment)


class ServedPage:
    """The page, and its addresses."""

    def __init__(self, page: PlatformPage) -> None:
        self.page = page
        self.url = ""
        """Its origin."""
        self._server = AsyncExitStack()

    async def start(self, port: int = 0) -> None:
        """Start its server."""
        listener = listen(port=port)
        self.page.streams = Streams()
        self.url = (await self._server.enter_async_context(self.page.serving(listener))).rstrip("/")

    async def stop(self) -> None:
        """Stop its server. The platform runs on."""
        await self._server.aclose()

    @asynccontextmanager
    async def away(self) -> AsyncGenerator[None]:
        """Stop the server for the duration of a block, and start it again on its port."""
        await self.stop()
        try:
            yield
        finally:
            await self.start(int(self.url.rpartition(":")[2]))

    def address(self, mode: Mode, path: str = "", **query: str) -> str:
        """An address of a mode: of its page, or of what is below it."""
        return f"{self.url}/{mode}{path}?{httpx.QueryParams({**WHO, **query})}"

    async def get(self, mode: Mode, path: str = "", **query: str) -> httpx.Response:
        """Get what is at an address."""
        async with httpx.AsyncClient(timeout=LONG) as client:
            return await client.get(self.address(mode, path, **query))

    async def post(
        self,
        mode: Mode,
        path: str,
        data: Mapping[str, str] | None = None,
        origin: str = "",
        site: str = "same-origin",
    ) -> httpx.Response:
        """Post a form, by default as the page does."""
        headers = {"origin": origin or self.url, "sec-fetch-site": site}
        async with httpx.AsyncClient(timeout=LONG) as client:
            return await client.post(self.address(mode, path), data=data or {}, headers=headers)

    @asynccontextmanager
    async def chat(self, mode: Mode, conversation: str) -> AsyncGenerator["Chat"]:
        """A conversation, once the platform runs."""
        url = self.address(mode, "/chat", conversation=conversation).replace("http", "ws", 1)
        async with connect(url, origin=Origin(self.url)) as connection:
            chat = Chat(connection)
            assert (await chat.receive())["kind"] == "ready"
            yield chat


@dataclass(frozen=True)
class Chat:
    """The browser's side of a conversation."""

    connection: ClientConnection

    async def ask(self, text: str = "Can I return a tent?") -> Mapping[str, Any]:
        """Send a text, and return the message with the answer. Steps may come before it."""
        await self.connection.send(text)
        while (message := await self.receive())["kind"] == "way":
            pass
        return message

    async def receive(self) -> Mapping[str, Any]:
        """The next message."""
        message: Mapping[str, Any] = json.loads(await self.connection.recv())
        return message


def form_of(html: str) -> dict[str, str]:
    """The values that a browser would send for the form's numbers, texts and choices."""
    found = re.findall(r'value="([^"]*)"[^>]*name="([^"]+)"', html)
    texts = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>([^<]*)<', html)
    choices = re.findall(r'<select[^>]*name="([^"]+)">.*?<option selected>([^<]*)<', html, re.S)
    values = {**{name: value for value, name in found if value != "on"}, **dict(texts)}
    return {name: unescape(value) for name, value in (values | dict(choices)).items()}


@asynccontextmanager
async def served_page() -> AsyncGenerator[ServedPage]:
    """Serve the page. A mode's platform starts when it is first asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "start", _start)
        served = ServedPage(PlatformPage())
        async with served.page.platforms:
            await served.start()
            try:
                yield served
            finally:
                await served.stop()
