"""The search field of all pages: leads to a context, or to the contexts of a tenant."""

from collections.abc import Sequence
from urllib.parse import urlencode

from relevo_server.keys import part_problem
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.references import context_path, parse

_LONGEST = 1000


def routes(_: Console) -> Sequence[Route]:
    """The route of the search. It asks the store nothing: the page that it leads to does."""

    async def find(request: Request) -> Response:
        return RedirectResponse(place_of(request.query_params.get("q", "")), 303)

    return (Route("/find", find),)


def place_of(text: str) -> str:
    """The path for a text: the context of a reference, else the contexts of a tenant."""
    text = text.strip()
    try:
        return context_path(str(parse(text)))
    except ValueError:
        if ":" in text or part_problem(text):
            return context_path(text[:_LONGEST])
        return f"/contexts?{urlencode({'tenant': text})}"
