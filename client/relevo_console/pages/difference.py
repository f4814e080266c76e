"""The difference between two contexts: of a key and a snapshot, of two snapshots, of two keys."""

from collections.abc import Sequence

from relevo.admin.v1 import admin_pb2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.problems import Kind, StoreCallError
from relevo_console.references import parse
from relevo_console.store import Viewer
from relevo_console.views.difference import compared

_SHOWN = 500
"""The differences that are shown."""
_NONE = {
    Kind.ABSENT: "there is no live entry under this key",
    Kind.BEHIND: "the store has not reached this revision",
}


def routes(console: Console) -> Sequence[Route]:
    """The route of the page."""

    async def page(request: Request, viewer: Viewer) -> Response:
        asked = {name: request.query_params.get(name, "").strip() for name in ("left", "right")}
        wrong: dict[str, str] = {}
        found: list[tuple[admin_pb2.ExplainResponse, int]] = []
        if all(asked.values()):
            for name, text in asked.items():
                try:
                    found.append(await _explained(viewer, text))
                except ValueError as error:
                    wrong[name] = str(error)
        else:
            await viewer.status()
        return console.page(
            request,
            "difference.html",
            status=400 if wrong else 200,
            asked=asked,
            wrong=wrong,
            view=None if len(found) < 2 else compared(*found),
            shown=_SHOWN,
        )

    return (Route("/difference", console.shown(page)),)


async def _explained(viewer: Viewer, text: str) -> tuple[admin_pb2.ExplainResponse, int]:
    """The context of a reference. Raises ValueError if there is none."""
    reference = parse(text)
    try:
        return await viewer.explain(*reference), reference.revision
    except StoreCallError as problem:
        if problem.kind in _NONE:
            raise ValueError(_NONE[problem.kind]) from None
        raise
