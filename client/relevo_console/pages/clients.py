"""The connected clients with their caches."""

from collections.abc import Sequence

from relevo_look import units
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.store import Viewer
from relevo_console.views import clients


def routes(console: Console) -> Sequence[Route]:
    """The route of the page."""

    async def page(request: Request, viewer: Viewer) -> Response:
        query = request.query_params
        sort, service = query.get("sort", clients.SORTS[0][0]), query.get("service", "")
        number = query.get("page", "1")
        view = clients.page(
            await viewer.clients(),
            sort=sort,
            service=service,
            number=int(number) if number.isdecimal() and len(number) < 9 else 1,
            now=units.now(),
        )
        return console.page(
            request,
            "clients.html",
            view=view,
            sort=sort,
            service=service,
            heads=clients.HEADS,
            sorts=clients.SORTS,
        )

    return (Route("/clients", console.shown(page)),)
