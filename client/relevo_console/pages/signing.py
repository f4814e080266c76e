"""Signing in with a token, and out."""

import math
from collections.abc import Sequence

from relevo_web.forms import form_of
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from relevo_console import cookies
from relevo_console.console import Console
from relevo_console.problems import HTTP_STATUS, Kind, StoreCallError

_LONGEST = 16 * 1024
"""Characters of a token."""


def routes(console: Console) -> Sequence[Route]:
    """The routes of the pages."""
    is_secure = console.options.has_secure_cookies

    def page(request: Request, onward: str, *, status: int = 200, wrong: str = "") -> Response:
        return console.page(
            request,
            "sign_in.html",
            status=status,
            onward=onward,
            wrong=wrong,
            refused=console.options.refuses_tokens,
        )

    async def ask(request: Request) -> Response:
        return page(request, _onward(request.query_params.get("next", "/")))

    async def sign_in(request: Request) -> Response:
        fields = await form_of(request)
        onward = _onward(fields.get("next", "/"))
        if console.options.refuses_tokens:
            return page(request, onward, status=403)
        address = request.client.host if request.client else ""
        wait = math.ceil(console.attempts.wait(address))
        if wait:
            wrong = f"Too many tokens were refused. Try again in {wait} s."
            response = page(request, onward, status=429, wrong=wrong)
            response.headers["retry-after"] = str(wait)
            return response
        token = fields.get("token", "").strip()
        if not 0 < len(token) <= _LONGEST or not (token.isascii() and token.isprintable()):
            wrong = "A token is one line of printable ASCII characters."
            return page(request, onward, status=400, wrong=wrong)
        try:
            await console.store.as_viewer(token).status()
        except StoreCallError as problem:
            if problem.kind is Kind.SIGN_IN:
                console.attempts.fail(address)
            return page(request, onward, status=HTTP_STATUS[problem.kind], wrong=_why(problem))
        console.sessions.end(cookies.named(request))
        response = RedirectResponse(onward, 303)
        cookies.keep(response, console.sessions.begin(token), is_secure=is_secure)
        return response

    async def sign_out(request: Request) -> Response:
        console.sessions.end(cookies.named(request))
        response = RedirectResponse("/sign-in", 303)
        cookies.forget(response, is_secure=is_secure)
        return response

    return (
        Route("/sign-in", ask, methods=["GET"]),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    )


def _why(problem: StoreCallError) -> str:
    match problem.kind:
        case Kind.SIGN_IN:
            return "The store does not know this token, or it has expired."
        case Kind.ROLE:
            return (
                "The store knows this token, but its principal lacks the role "
                f"{problem.role or 'admin'}, which this console needs."
            )
        case Kind.AWAY:
            return "The store does not answer now, so the token cannot be checked."
        case _:
            return problem.text


def _onward(path: str) -> str:
    """A path of this console, to go on with. Anything else is the overview."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-"))
    return path if is_own and path.isprintable() else "/"
