"""Records what a page asked for, received and complained of."""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Error, Page, Request, Response, WebSocket

_OUTAGE = ("net::ERR_", "[object Event]", "htmx:sendError", "WebSocket connection to")
"""What an error says that a server's end explains; htmx logs the event of a broken stream."""


class Record:
    """What happens on a page: its problems, and all that it received from the server."""

    def __init__(self, page: Page, url: str) -> None:
        self.problems: list[str] = []
        """Errors of scripts, errors in the console, requests to other origins."""
        self.received: list[str] = []
        """Bodies, headers, events and messages of WebSockets, as text."""
        origin = _origin(url)
        self._origins = {origin, origin.replace("http", "ws", 1)}
        self._allowed: tuple[str, ...] = ()
        self._reading: set[asyncio.Task[None]] = set()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"error in a script: {error}"))
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("websocket", self._on_socket)

    @classmethod
    async def of(cls, page: Page, url: str) -> "Record":
        """The record of a page that is new, and may ask the server of a URL alone."""
        record = cls(page, url)
        session: Any = await page.context.new_cdp_session(page)  # its types are incomplete
        await session.send("Network.enable")
        session.on("Network.eventSourceMessageReceived", record._on_event)
        return record

    def outage(self) -> AbstractContextManager[None]:
        """Errors that say that the server cannot be reached are no problems meanwhile."""
        return self.allowing(*_OUTAGE)

    @contextmanager
    def allowing(self, *texts: str) -> Generator[None]:
        """Errors in the console that have one of the texts are no problems meanwhile."""
        before, self._allowed = self._allowed, (*self._allowed, *texts)
        try:
            yield
        finally:
            self._allowed = before

    async def everything(self) -> str:
        """All that was received until now, as one text."""
        await asyncio.gather(*self._reading)
        return "\n".join(self.received)

    async def found(self, secrets: Iterable[str]) -> list[str]:
        """Which of the texts the browser received."""
        text = await self.everything()
        return [each for each in secrets if each in text]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            text = message.text
            if not any(each in text for each in self._allowed):
                self.problems.append(f"in the console: {text}")

    def _on_request(self, request: Request) -> None:
        is_own = request.url.startswith(("data:", "blob:"))
        if not is_own and _origin(request.url) not in self._origins:
            self.problems.append(f"a request to another origin: {request.url}")

    def _on_response(self, response: Response) -> None:
        self.received += [response.url, *(f"{n}: {v}" for n, v in response.headers.items())]
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return
        if response.status in {204, 301, 302, 303, 304, 307, 308}:
            return
        self._reading.add(asyncio.ensure_future(self._read(response)))

    async def _read(self, response: Response) -> None:
        with suppress(Error):  # the page was left, or the server ended, before it was whole
            self.received.append((await response.body()).decode(errors="replace"))

    def _on_event(self, event: dict[str, Any]) -> None:
        self.received += [event["eventName"], event["data"]]

    def _on_socket(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: self.received.append(_text(payload)))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _text(payload: Any) -> str:
    return payload if isinstance(payload, str) else bytes(payload).decode(errors="replace")
