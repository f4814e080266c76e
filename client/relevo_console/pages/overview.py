"""The overview: what near caches save, how the store does, and how old copies are."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from relevo_web.events import Event
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import RELOADING, Console
from relevo_console.problems import Kind, StoreCallError
from relevo_console.sampling import sees_clients
from relevo_console.store import Viewer
from relevo_console.views import overview

_RETRY = 1.0
"""Seconds after which a store that was away is looked at again."""


def routes(console: Console) -> Sequence[Route]:
    """The routes of the page."""

    async def page(request: Request, viewer: Viewer) -> Response:
        view = await _proven(console, viewer)
        return console.page(request, "overview.html", view=view)

    async def events(request: Request, viewer: Viewer) -> Response:
        await console.prove(viewer)
        return console.streams.response(_events(console, request, viewer))

    return (
        Route("/", console.shown(page)),
        Route("/overview/events", console.shown(events)),
    )


async def _proven(console: Console, viewer: Viewer) -> overview.Overview:
    """The overview for a viewer who may see the store, or whose right cannot be checked now."""
    try:
        may_see_clients = await sees_clients(viewer)
    except StoreCallError as problem:
        if problem.kind is not Kind.AWAY:
            raise
        return _away(console, problem)
    return _view(console, may_see_clients=may_see_clients)


async def _events(console: Console, request: Request, viewer: Viewer) -> AsyncIterator[Event]:
    """The overview after each sample, until the session ends."""
    may_go_on = console.going_on(request)
    while True:
        try:
            async with aclosing(console.sampler.looking(viewer)) as looks:
                async for may_see_clients in looks:
                    if not may_go_on():
                        yield RELOADING
                        return
                    yield _event(console, _view(console, may_see_clients=may_see_clients))
        except StoreCallError as problem:
            if problem.kind is not Kind.AWAY:
                yield RELOADING
                return
            yield _event(console, _away(console, problem))
        await asyncio.sleep(_RETRY)


def _event(console: Console, view: overview.Overview) -> Event:
    return Event("overview", console.part("overview_now.html", view=view))


def _view(console: Console, *, may_see_clients: bool) -> overview.Overview:
    sampler = console.sampler
    return overview.overview(
        sampler.samples,
        sampler.status,
        sees_clients=may_see_clients,
        problem=sampler.problem if sampler.is_sampling else "",
        since=sampler.since,
    )


def _away(console: Console, problem: StoreCallError) -> overview.Overview:
    """The overview for a viewer whose rights cannot be checked now: that the store is away."""
    return overview.away(problem.text, console.away_since)
