"""The partitions with their logs."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.store import Viewer
from relevo_console.views import partitions


def routes(console: Console) -> Sequence[Route]:
    """The route of the page."""

    async def page(request: Request, viewer: Viewer) -> Response:
        rows = partitions.rows(await viewer.partitions())
        return console.page(request, "partitions.html", rows=rows)

    return (Route("/partitions", console.shown(page)),)
