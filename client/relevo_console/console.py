"""The console's state, and what its pages share: viewers, and responses to refused requests."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from relevo.admin.v1 import admin_pb2
from relevo_web.asset_files import Assets
from relevo_web.events import Event, Streams
from relevo_web.pages import Link, Pages, Site
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from relevo_console import cookies
from relevo_console.attempts import Attempts
from relevo_console.following import Pace
from relevo_console.problems import HTTP_STATUS, Kind, StoreCallError
from relevo_console.sampling import Intervals, Sampler
from relevo_console.sessions import Sessions
from relevo_console.store import Store, Viewer
from relevo_console.views.composition import written

Page = Callable[[Request, Viewer], Awaitable[Response]]
"""Answers a request with what a viewer may see. It may raise StoreCallError."""
SITE = Site(
    "Relevo console",
    links=(
        Link("/", "Overview"),
        Link("/changes", "Changes"),
        Link("/contexts", "Contexts"),
        Link("/difference", "Difference"),
        Link("/turn", "Turn"),
        Link("/clients", "Clients"),
        Link("/tenants", "Tenants"),
        Link("/partitions", "Partitions"),
    ),
    stylesheets=("console.css",),
    scripts=("console.js",),
)


@dataclass(frozen=True)
class Options:
    """The settings of a console."""

    own_token: Callable[[], str | None] = lambda: None
    """The token for those who have not signed in, None for none."""
    is_read_only: bool = False
    """Whether nothing can be invalidated from here."""
    hosts: Collection[str] = ()
    """The names by which pages are reached, besides those of this machine for itself."""
    has_secure_cookies: bool = False
    """Whether browsers reach the pages by TLS."""
    refuses_tokens: str = ""
    """Why nobody may sign in: their token would travel unencrypted. "" if they may."""
    intervals: Intervals = field(default_factory=Intervals)
    pace: Pace = field(default_factory=Pace)


_MAIN = "main"
"""The element that a page of a problem replaces when it asks for the page again."""
RELOADING = Event("reload", "")
"""Tells a page that what it shows is over: it is loaded anew, which says why."""


class Console:
    """One console: its store, its sessions, and the templates of its pages."""

    def __init__(
        self, store: Store, options: Options | None = None, sessions: Sessions | None = None
    ) -> None:
        self.store = store
        self.options = options or Options()
        self.sessions = sessions or Sessions()
        self.attempts = Attempts()
        self.sampler = Sampler(self.options.intervals)
        self.streams = Streams()
        self.templates = Pages(
            "relevo_console",
            SITE,
            Assets("relevo_console"),
            {
                "target": store.target,
                "is_read_only": self.options.is_read_only,
                "written": written,
            },
        )

    def viewer(self, request: Request) -> Viewer:
        """The store, as whoever sends a request sees it."""
        token = self.sessions.use(cookies.named(request)) or self.options.own_token()
        return self.store.as_viewer(token or "")

    def has_session(self, request: Request) -> bool:
        """Whether whoever sends a request has signed in."""
        return self.sessions.use(cookies.named(request)) is not None

    def going_on(self, request: Request) -> Callable[[], bool]:
        """A function that tells whether a stream may go on: until its session, if any, ends.

        Each question counts as use of the session.
        """
        had_session = self.has_session(request)
        return lambda: not had_session or self.has_session(request)

    async def prove(self, viewer: Viewer) -> None:
        """Raise StoreCallError if a viewer may not see the store.

        One that is away now may be looked at: each later question proves the right anew.
        """
        try:
            await viewer.status()
        except StoreCallError as problem:
            if problem.kind is not Kind.AWAY:
                raise

    async def ranking(self, viewer: Viewer, order: int) -> admin_pb2.ListTopTenantsResponse | None:
        """The tenants that use the server most, None if the viewer may not see all tenants.

        Raises StoreCallError if they may see nothing.
        """
        try:
            return await viewer.top_tenants(order)
        except StoreCallError as problem:
            if problem.kind not in {Kind.TENANT, Kind.ROLE}:
                raise
            await viewer.status()  # so it is only the right to see all of them that is missing
            return None

    async def tenants(self, viewer: Viewer) -> list[str]:
        """Names of tenants to choose from, none if the viewer may not see all tenants.

        Raises StoreCallError if they may see nothing.
        """
        top = await self.ranking(viewer, admin_pb2.TOP_ORDER_CALLS)
        return sorted(each.tenant_id for each in top.tenants) if top else []

    def page(
        self, request: Request, template: str, /, *, status: int = 200, **context: Any
    ) -> Response:
        """A page."""
        return self.templates.page(
            request,
            f"console/{template}",
            status=status,
            has_session=self.has_session(request),
            **context,
        )

    def part(self, template: str, /, **context: Any) -> str:
        """A part of a page."""
        return self.templates.text(f"console/{template}", **context)

    def shown(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """A handler that shows a page, or why the store does not let it be shown."""

        async def handle(request: Request) -> Response:
            try:
                return await page(request, self.viewer(request))
            except StoreCallError as problem:
                return self.failed(request, problem)

        return handle

    def failed(self, request: Request, problem: StoreCallError) -> Response:
        """The response to a request that the store refuses, or cannot answer now."""
        if problem.kind is Kind.SIGN_IN:
            return self._to_sign_in(request)
        is_part = "hx-request" in request.headers
        if is_part and request.headers.get("hx-target") != _MAIN:
            return HTMLResponse(
                self.part("part_problem.html", problem=problem, again=_again(request))
            )
        if is_part and problem.kind is Kind.AWAY:
            return Response(status_code=204)  # the page says so already, and asks again
        return self.page(
            request,
            "problem.html",
            # htmx shows no response with the status of an error.
            status=200 if is_part else HTTP_STATUS[problem.kind],
            problem=problem,
            since=self.away_since,
            again=_again(request) if problem.kind is Kind.AWAY else "",
        )

    @property
    def away_since(self) -> datetime | None:
        """Since when the store does not answer, None if it does."""
        since = self.store.away_since
        return None if since is None else datetime.fromtimestamp(since, UTC)

    def _to_sign_in(self, request: Request) -> Response:
        self.sessions.end(cookies.named(request))
        query = urlencode({"next": _again(request) if request.method == "GET" else "/"})
        if "hx-request" in request.headers:
            # The page is loaded anew, and leads to the sign-in itself.
            response: Response = Response(status_code=204, headers={"hx-refresh": "true"})
        else:
            response = RedirectResponse(f"/sign-in?{query}", 303)
        cookies.forget(response, is_secure=self.options.has_secure_cookies)
        return response


def _again(request: Request) -> str:
    """The path of a request with its query."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
