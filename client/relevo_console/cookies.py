"""The cookie that names a session: out of the reach of scripts and of other sites."""

from starlette.requests import Request
from starlette.responses import Response

from relevo_console.sessions import LONGEST

NAME = "relevo-console"


def named(request: Request) -> str:
    """The name of the session that a request shows, "" for none."""
    return request.cookies.get(NAME, "")


def keep(response: Response, session: str, *, is_secure: bool) -> None:
    """Have the browser keep the name of a session."""
    response.set_cookie(
        NAME,
        session,
        max_age=round(LONGEST),
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="strict",
    )


def forget(response: Response, *, is_secure: bool) -> None:
    """Have the browser forget it."""
    response.delete_cookie(NAME, path="/", secure=is_secure, httponly=True, samesite="strict")
