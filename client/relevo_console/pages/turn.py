"""What a turn worked with, by the reference that logs, traces and headers carry."""

from collections.abc import Sequence

from relevo_web.forms import form_of
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.references import context_path, parse
from relevo_console.store import Viewer


def routes(console: Console) -> Sequence[Route]:
    """The routes of the page."""

    async def page(request: Request, viewer: Viewer) -> Response:
        await viewer.status()
        return console.page(request, "turn.html", wrong="")

    async def find(request: Request, viewer: Viewer) -> Response:
        # By POST: a pasted piece of a log may have more in it than belongs into a URL.
        text = (await form_of(request)).get("text", "")
        try:
            reference = parse(text)
        except ValueError as error:
            await viewer.status()
            return console.page(request, "turn.html", status=400, wrong=str(error))
        return RedirectResponse(context_path(str(reference)), 303)

    return (
        Route("/turn", console.shown(page), methods=["GET"]),
        Route("/turn", console.shown(find), methods=["POST"]),
    )
