"""Which requests pages answer, and the headers of every answer."""

from collections.abc import Mapping

import httpx
import pytest
from relevo_web.security import HEADERS, Guarded, is_same_origin, name_of
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Scope
from starlette.websockets import WebSocket
from support.web.client import client_of
from support.web.sample import Sample


async def _echo(socket: WebSocket) -> None:
    await socket.accept()


def guarded(*hosts: str) -> ASGIApp:
    """An application with one page, which anyone may read and change."""

    async def page(_: object) -> PlainTextResponse:
        return PlainTextResponse("page")

    routes = [Route("/", page, methods=["GET", "POST"]), WebSocketRoute("/socket", _echo)]
    return Guarded(Starlette(routes=routes), hosts)


async def answer(
    app: ASGIApp, method: str = "GET", path: str = "/", **headers: str
) -> httpx.Response:
    """The answer to one request to `localhost`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client_of(app) as client:
        return await client.request(method, path, headers=given)


@pytest.mark.parametrize("path", ["/", "/missing"])
async def test_headers(path: str) -> None:
    """Every answer has the headers, whatever its status, and browsers keep no page."""
    response = await answer(guarded(), path=path)
    assert {name: response.headers[name] for name in HEADERS} == dict(HEADERS)
    assert response.headers["cache-control"] == "no-store"


async def test_headers_of_refusals() -> None:
    """A refusal has the headers, too."""
    response = await answer(guarded(), host="elsewhere.example")
    assert response.status_code == 421
    assert response.headers["content-security-policy"] == HEADERS["content-security-policy"]


def test_policy() -> None:
    """The policy allows nothing inline, no evaluation and no other host."""
    policy = HEADERS["content-security-policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


async def test_assets_are_kept() -> None:
    """An asset has a version in its path, so browsers keep it; it has the other headers."""
    sample = Sample()
    response = await answer(sample.app(), path=sample.assets.url("base.css"))
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8390", "127.0.0.1:1", "[::1]:8390", "LOCALHOST"]
)
async def test_own_names(host: str) -> None:
    """The machine's own names are answered, with any port."""
    assert (await answer(guarded(), host=host)).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["rebound.example", "localhost.example", "127.0.0.1.example:80", "", "[", "a@localhost:x"],
)
async def test_other_names(host: str) -> None:
    """A name that the page is not served by gets nothing: it may lead here by rebinding."""
    response = await answer(guarded(), host=host)
    assert response.status_code == 421
    assert response.text != "page"


async def test_names_that_are_given() -> None:
    """A name that the page is served by is answered."""
    assert (await answer(guarded("Console.example"), host="console.example")).status_code == 200


_SAME: Mapping[str, Mapping[str, str]] = {
    "no browser": {},
    "the page": {"origin": "http://localhost", "sec-fetch-site": "same-origin"},
    "an old browser": {"origin": "http://localhost"},
    "TLS ends before": {"origin": "https://localhost", "sec-fetch-site": "same-origin"},
    "a person": {"sec-fetch-site": "none"},
}
_OTHER: Mapping[str, Mapping[str, str]] = {
    "another site": {"origin": "http://other.example", "sec-fetch-site": "cross-site"},
    "another port": {"origin": "http://localhost:81", "sec-fetch-site": "same-site"},
    "an old browser": {"origin": "http://other.example"},
    "no origin": {"origin": "null"},
    "a contradiction": {"origin": "http://other.example", "sec-fetch-site": "same-origin"},
    "no Origin": {"sec-fetch-site": "cross-site"},
}


@pytest.mark.parametrize("name", _SAME)
async def test_same_origin(name: str) -> None:
    """What changes something is answered if it is of the page itself, or of no browser."""
    headers = {key.replace("-", "_"): value for key, value in _SAME[name].items()}
    assert (await answer(guarded(), "POST", **headers)).status_code == 200


@pytest.mark.parametrize("name", _OTHER)
async def test_other_origin(name: str) -> None:
    """What changes something is refused if another site's page sends it."""
    headers = {key.replace("-", "_"): value for key, value in _OTHER[name].items()}
    assert (await answer(guarded(), "POST", **headers)).status_code == 403
    assert (await answer(guarded(), "GET", **headers)).status_code == 200  # browsers hide it


def test_no_host() -> None:
    """An Origin is of nobody if no Host is named."""
    assert not is_same_origin({"origin": "http://localhost"})
    assert name_of("[") == ""


async def opened(headers: Mapping[str, str]) -> list[Message]:
    """What an application answers to the opening of a WebSocket."""
    given = [(b"host", b"localhost"), *((n.encode(), v.encode()) for n, v in headers.items())]
    scope: Scope = {"type": "websocket", "path": "/socket", "headers": given, "extensions": {}}
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        messages.append(message)

    await guarded()(scope, receive, send)
    return messages


@pytest.mark.parametrize("name", _OTHER)
async def test_sockets_of_others(name: str) -> None:
    """Another site's page opens no WebSocket."""
    (message,) = await opened(_OTHER[name])
    assert message["type"] == "websocket.close"


@pytest.mark.parametrize("name", _SAME)
async def test_sockets(name: str) -> None:
    """The page itself does, and so does what is no browser."""
    assert (await opened(_SAME[name]))[0]["type"] == "websocket.accept"
