"""The page's application: its addresses, and what each of them answers."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import cast

import httpx
from relevo_demo.launching import ProcessError
from relevo_web.asset_files import Assets
from relevo_web.events import Event, Streams
from relevo_web.forms import FormError, form_of
from relevo_web.pages import Pages, Site
from relevo_web.security import Guarded
from relevo_web.serving import serving
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from nooble.page import words
from nooble.page.agents import Visitor, agents, collections_of
from nooble.page.changes import entry_of
from nooble.page.chat import LONGEST, chat
from nooble.page.forms import SECTIONS, changes_of, fields_of
from nooble.page.parts import PartError
from nooble.page.platforms import Platform, Platforms
from nooble.page.turns import Turn
from nooble.page.way import rows
from nooble.wiring import MODES, Mode

FIRST: Mode = "relevo"
"""The mode that starts at once."""
_SITE = Site("Relevo platform", stylesheets=["page.css"], scripts=["chat.js"])


class PlatformPage:
    """The page of all three modes."""

    def __init__(self) -> None:
        self.platforms = Platforms(self._on_change)
        self.streams = Streams()
        self.assets = Assets("nooble.page")
        self._pages = Pages("nooble.page", _SITE, self.assets, {"words": words})
        self._subscribers: set[asyncio.Event] = set()

    def app(self) -> ASGIApp:
        """The ASGI application."""
        return Guarded(
            Starlette(
                routes=[
                    Route("/", self._home),
                    self.assets.route(),
                    Route("/{mode}", self._page),
                    Route("/{mode}/events", self._events),
                    Route("/{mode}/form", self._form),
                    Route("/{mode}/form", self._change, methods=["POST"]),
                    Route("/{mode}/processes/{id}/{deed}", self._process, methods=["POST"]),
                    WebSocketRoute("/{mode}/chat", self._chat),
                ]
            )
        )

    def serving(self, listener: socket.socket) -> AbstractAsyncContextManager[str]:
        """Serve the page on a listener, which is closed at the end; its URL. Raises StartError."""
        return serving(self.app(), listener, at_end=self.streams.end, has_websockets=True)

    @contextmanager
    def subscribed(self) -> Generator[asyncio.Event]:
        """An event that is set after each change of a platform's state or turns."""
        changed = asyncio.Event()
        self._subscribers.add(changed)
        try:
            yield changed
        finally:
            self._subscribers.discard(changed)

    def _on_change(self) -> None:
        for changed in self._subscribers:
            changed.set()

    async def _home(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/{FIRST}{query}")

    async def _page(self, request: Request) -> Response:
        mode = _mode(request)
        platform = self.platforms.started(mode)
        visitor = Visitor.of(request.query_params)
        last = platform.log.last
        return self._pages.page(
            request,
            "page.html",
            mode=mode,
            modes=MODES,
            platform=platform,
            visitor=visitor,
            agents=agents(),
            parts=dict(self._parts(platform)),
            way=self._way(last) if last and last.agent == visitor.agent.key else "",
            draft=self._draft(visitor, mode),
            longest=LONGEST,
        )

    def _draft(self, visitor: Visitor, mode: Mode) -> str:
        """The text to send next: what this agent was asked last in another mode."""
        turns = [
            turn
            for other, turn in self.platforms.last_turns().items()
            if other != mode and turn.agent == visitor.agent.key
        ]
        newest = max(turns, key=lambda turn: turn.began, default=None)
        if newest:
            return newest.text
        return visitor.agent.questions[0] if visitor.agent.questions else ""

    async def _events(self, request: Request) -> Response:
        return self.streams.response(self._changes_of(self.platforms.started(_mode(request))))

    async def _changes_of(self, platform: Platform) -> AsyncGenerator[Event]:
        sent: dict[str, str] = {}
        with self.subscribed() as changed:
            while True:
                changed.clear()
                for name, html in self._parts(platform):
                    if sent.get(name) != html:
                        sent[name] = html
                        yield Event(name, html)
                await changed.wait()

    def _parts(self, platform: Platform) -> Iterator[tuple[str, str]]:
        """The parts of the page that change by themselves, by their events' names."""
        yield "start", self._pages.text("_start.html", platform=platform)
        yield "processes", self._pages.text("_processes.html", platform=platform)
        turns = self.platforms.last_turns()
        yield "compare", self._pages.text("_compare.html", turns=turns, mode=platform.mode)
        if platform.state == "running":
            yield "running", "yes"

    async def _form(self, request: Request) -> Response:
        platform = await self._running(request)
        visitor = Visitor.of(request.query_params)
        try:
            entry = await entry_of(platform.management, visitor.agent.key)
        except httpx.HTTPError:
            raise HTTPException(503, "The owner of the configuration does not answer.") from None
        return self._form_of(platform, visitor, fields=fields_of(entry))

    async def _change(self, request: Request) -> Response:
        platform = await self._running(request)
        visitor = Visitor.of(request.query_params)
        try:
            entered = await form_of(request)
            entry = await entry_of(platform.management, visitor.agent.key)
            collections = collections_of(visitor.agent.tenant_id)
            changes, errors = changes_of(entry, entered, collections)
            pending = self.platforms.changes.pending(platform.mode, visitor.agent.key)
            if errors or not (changes or pending):
                fields = fields_of(entry, entered, errors)
                return self._form_of(platform, visitor, fields=fields, errors=len(errors))
            acknowledged = await self.platforms.change(visitor.agent.key, changes)
            entry = await entry_of(platform.management, visitor.agent.key)
        except FormError as error:
            raise HTTPException(400, str(error)) from None
        except httpx.HTTPError:
            raise HTTPException(503, "The owner of the configuration does not answer.") from None
        acknowledged.sort(key=lambda each: each.mode != platform.mode)
        sent = [*pending.items(), *changes.items()]
        paths = list(dict.fromkeys(f"{section}.{name}" for section, new in sent for name in new))
        return self._form_of(
            platform, visitor, fields=fields_of(entry), acknowledged=acknowledged, paths=paths
        )

    def _form_of(self, platform: Platform, visitor: Visitor, **context: object) -> HTMLResponse:
        defaults: dict[str, object] = {"errors": None, "acknowledged": None, "paths": []}
        text = self._pages.text(
            "_form.html",
            mode=platform.mode,
            visitor=visitor,
            sections=SECTIONS,
            **(defaults | context),
        )
        return HTMLResponse(text)

    async def _running(self, request: Request) -> Platform:
        platform = self.platforms.started(_mode(request))
        try:
            await platform.wait()
        except ProcessError as error:
            raise HTTPException(503, str(error)) from None
        return platform

    async def _process(self, request: Request) -> Response:
        platform = self.platforms[_mode(request)]
        try:
            part = platform.parts.named(request.path_params["id"])
            deed = {"kill": part.kill, "restart": part.restart}[request.path_params["deed"]]
            await deed()
        except KeyError:
            raise HTTPException(404) from None
        except (PartError, ProcessError) as error:
            return PlainTextResponse(str(error), 409)
        return Response(status_code=204)

    async def _chat(self, websocket: WebSocket) -> None:
        platform = self.platforms.started(_mode(websocket))
        visitor = Visitor.of(websocket.query_params)
        await chat(websocket, platform, visitor, self._way, self._note)

    def _way(self, turn: Turn) -> str:
        before = self.platforms[turn.mode].log.before(turn)
        return self._pages.text("_way.html", turn=turn, rows=rows(turn, before), before=before)

    def _note(self, turn: Turn) -> str:
        return self._pages.text("_note.html", turn=turn)


def _mode(request: HTTPConnection) -> Mode:
    mode: str = request.path_params["mode"]
    if mode not in MODES:
        raise HTTPException(404)
    return cast("Mode", mode)
