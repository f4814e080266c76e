"""Live changes of a tenant or a key."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from relevo_server.keys import Key, part_problem
from relevo_web.events import Event
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import RELOADING, Console
from relevo_console.following import Follower, past
from relevo_console.problems import StoreCallError
from relevo_console.store import Viewer
from relevo_console.views.changes import Selection

_FIELDS = ("tenant", "scope", "key", "by")


def routes(console: Console) -> Sequence[Route]:
    """The routes of the page."""

    async def page(request: Request, viewer: Viewer) -> Response:
        asked = _asked(request)
        selection, wrong = _selection(asked)
        return console.page(
            request,
            "changes.html",
            status=400 if wrong else 200,
            asked=asked,
            selection=selection,
            wrong=wrong,
            tenants=await console.tenants(viewer),
            update=await past(viewer, selection) if selection else None,
            since=None,
        )

    async def events(request: Request, viewer: Viewer) -> Response:
        selection, wrong = _selection(_asked(request))
        if selection is None:
            return Response(wrong or "Which tenant?", 400)
        await console.prove(viewer)
        return console.streams.response(_events(console, request, viewer, selection))

    return (
        Route("/changes", console.shown(page)),
        Route("/changes/events", console.shown(events)),
    )


def _asked(request: Request) -> Mapping[str, str]:
    return {name: request.query_params.get(name, "").strip() for name in _FIELDS}


def _selection(asked: Mapping[str, str]) -> tuple[Selection | None, str]:
    """Whose changes are asked for, None if nobody's are; and what is wrong, "" for nothing."""
    if asked["key"]:
        try:
            key = Key.parse(asked["key"])
        except ValueError as error:
            return None, f"key: {error}"
        return Selection(key.tenant_id, key.scope, key, asked["by"]), ""
    if not asked["tenant"]:
        return None, ""
    for name in ("tenant", "scope"):
        if asked[name] and (problem := part_problem(asked[name])):
            return None, f"{name}: {problem}"
    return Selection(asked["tenant"], asked["scope"], None, asked["by"]), ""


async def _events(
    console: Console, request: Request, viewer: Viewer, selection: Selection
) -> AsyncIterator[Event]:
    """The page's updates. None is queued for a slow browser: it gets the newest."""
    follower = Follower(viewer, selection, console.options.pace)
    may_go_on = console.going_on(request)
    try:
        async with aclosing(follower.updates()) as updates:
            async for update in updates:
                if not may_go_on():
                    break
                part = console.part("changes_now.html", update=update, since=console.away_since)
                yield Event("changes", part)
    except StoreCallError:
        pass  # the page is loaded anew, and says why
    yield RELOADING
