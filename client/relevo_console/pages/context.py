"""One context in layers, as of a reference."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.problems import Kind, StoreCallError
from relevo_console.references import parse
from relevo_console.store import Viewer
from relevo_console.views.composition import composition

_SHOWN = 500
"""The values that are shown unless all are asked for."""


def routes(console: Console) -> Sequence[Route]:
    """The route of the page."""

    async def context(request: Request, viewer: Viewer) -> Response:
        text = request.query_params.get("ref", "")
        try:
            reference = parse(text)
        except ValueError as error:
            await viewer.status()
            return console.page(
                request, "no_context.html", status=400, asked=text, wrong=str(error)
            )
        try:
            explained = await viewer.explain(*reference)
        except StoreCallError as problem:
            if problem.kind not in {Kind.ABSENT, Kind.BEHIND}:
                raise
            return console.page(
                request, "absent.html", status=404, reference=reference, problem=problem
            )
        view = composition(explained, reference.revision)
        return console.page(
            request,
            "context.html",
            reference=reference,
            view=view,
            shown=len(view.values) if "all" in request.query_params else _SHOWN,
        )

    return (Route("/context", console.shown(context)),)
