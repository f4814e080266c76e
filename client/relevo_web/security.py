"""What protects pages: headers of every response, and which requests are answered at all.

The page's own origin is the only one that a page may ask, and the only one that may ask it:

- The Host has to be one of those that the page is served as. So a name of somebody else's that
  leads to this machine (DNS rebinding) gets nothing.
- A request that changes something, and a WebSocket, has to come from a page of the same origin.
  The rule is that of Go's `http.CrossOriginProtection`: Sec-Fetch-Site decides, else Origin has
  to name the Host. A request with neither is no browser's.
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relevo_web.problems import refuse

_DIRECTIVES: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
POLICY = "; ".join(f"{name} {value}" for name, value in _DIRECTIVES.items())
"""The Content-Security-Policy: nothing inline, nothing evaluated, no other host."""
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # Not "no-referrer": browsers would send the Origin "null" with forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""The headers of every response."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The names of this machine for itself."""
_SAFE = {"GET", "HEAD", "OPTIONS"}
"""Methods that change nothing."""


class Guarded:
    """An ASGI application that answers only requests that may be answered.

    `hosts` are the names by which it is served, without ports; those of this machine for itself
    always are.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = {each.lower() for each in (*LOOPBACK, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sending = _with_headers(send)
        if name_of(headers.get("host", "")) not in self._hosts:
            await refuse(scope, receive, sending, 421, "This page is not served by that name.")
        elif _needs_same_origin(scope) and not is_same_origin(headers):
            await refuse(scope, receive, sending, 403, "The request is of another site's page.")
        else:
            await self._app(scope, receive, sending)


def name_of(host: str) -> str:
    """The name of a Host, without its port and in lower case; "" if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        is_host = parts.port != 0 and parts.netloc == host and "@" not in host
    except ValueError:
        return ""
    return (parts.hostname or "") if is_host else ""


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request is of the same origin's page, or of no browser."""
    # "none": a person's own doing, such as a bookmark. Old browsers send no Sec-Fetch-Site.
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    return origin is None or _is_of(origin, headers)


def _is_of(origin: str, headers: Mapping[str, str]) -> bool:
    """Whether an Origin names the Host. Its scheme is not compared: a proxy may end TLS."""
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


def _needs_same_origin(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in _SAFE


def _with_headers(send: Send) -> Send:
    """A `send` that adds the headers. What a response says of its own caching stays."""

    async def sending(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            message = {"headers": (), **message}
            headers = MutableHeaders(scope=message)
            for name, value in (*HEADERS.items(), ("cache-control", "no-store")):
                headers.setdefault(name, value)
        await send(message)

    return sending
