"""The console as an application: its routes, and what guards them."""

from relevo_web.forms import FormError
from relevo_web.security import Guarded
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.pages import (
    changes,
    clients,
    context,
    contexts,
    difference,
    finding,
    invalidation,
    overview,
    partitions,
    signing,
    tenants,
    turn,
)

_PAGES = (
    overview,
    changes,
    contexts,
    context,
    turn,
    difference,
    clients,
    tenants,
    partitions,
    invalidation,
    finding,
    signing,
)


def application(console: Console) -> Guarded:
    """The application of a console."""

    async def lost(request: Request, error: Exception) -> Response:
        status, text = 500, "Something went wrong here."
        if isinstance(error, FormError):
            status, text = 400, f"{str(error)[:1].upper()}{str(error)[1:]}."
        elif isinstance(error, HTTPException):
            status, text = error.status_code, str(error.detail)
            if status == 404:
                text = "There is no such page."
        return console.page(request, "lost.html", status=status, text=text)

    async def reload(_: Request) -> Response:
        return Response(status_code=204, headers={"hx-refresh": "true"})

    routes = [console.templates.assets.route(), Route("/reload", reload)]
    for page in _PAGES:
        routes += page.routes(console)
    app = Starlette(routes=routes, exception_handlers={FormError: lost, HTTPException: lost})
    return Guarded(app, console.options.hosts)
