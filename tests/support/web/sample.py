"""A site with one of everything: macros, a form, a stream, a chart, a WebSocket."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from socket import socket

from relevo_web.asset_files import Assets
from relevo_web.events import Event, Streams
from relevo_web.forms import form_of
from relevo_web.pages import Link, Pages, Site
from relevo_web.security import Guarded
from relevo_web.serving import listen, serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

MOMENT = datetime(2026, 11, 29, 5, 31, 8, 250_000, UTC)


@dataclass
class Sample:
    """The site. What `values` get is shown by open pages at once."""

    values: asyncio.Queue[int] = field(default_factory=asyncio.Queue[int])
    streams: Streams = field(default_factory=Streams)
    posted: list[str] = field(default_factory=list[str])
    value: int = 0

    def __post_init__(self) -> None:
        self.assets = Assets()
        self.site = Site(
            "Sample", links=(Link("/", "Start"), Link("/second", "Second")), events="/events"
        )
        self.pages = Pages("support.web", self.site, self.assets)

    def app(self) -> ASGIApp:
        """The application."""
        return Guarded(
            Starlette(
                routes=[
                    Route("/", self._start),
                    Route("/second", self._second),
                    Route("/events", self._events),
                    Route("/post", self._post, methods=["POST"]),
                    WebSocketRoute("/socket", _echo),
                    self.assets.route(),
                ]
            )
        )

    @asynccontextmanager
    async def served(self, listener: socket | None = None) -> AsyncGenerator[str]:
        """Serve the site; its URL."""
        listener = listener or listen()
        async with serving(self.app(), listener, at_end=self.streams.end) as url:
            yield url

    async def _start(self, request: Request) -> Response:
        return self.pages.page(request, "sample.html", value=self.value, at=MOMENT)

    async def _second(self, request: Request) -> Response:
        return self.pages.page(request, "second.html")

    async def _events(self, _: Request) -> Response:
        return self.streams.response(self._changes())

    async def _changes(self) -> AsyncIterator[Event]:
        while True:
            yield Event("value", self.pages.text("value.html", value=self.value))
            self.value = await self.values.get()

    async def _post(self, request: Request) -> Response:
        self.posted.append((await form_of(request))["text"])
        if "hx-request" in request.headers:
            return PlainTextResponse("done")
        return RedirectResponse("/second", 303)


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
