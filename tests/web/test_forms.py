"""What pages read of forms."""

import httpx
import pytest
from relevo_web.forms import FormError, form_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from support.web.client import client_of

_KIND = "application/x-www-form-urlencoded"


async def _answer(request: Request) -> Response:
    try:
        return JSONResponse(dict(await form_of(request, most=100)))
    except FormError as error:
        return JSONResponse(str(error), 400)


async def sent(content: bytes, kind: str = _KIND) -> httpx.Response:
    """The answer to a form."""
    app = Starlette(routes=[Route("/", _answer, methods=["POST"])])
    async with client_of(app) as client:
        return await client.post("/", content=content, headers={"content-type": kind})


@pytest.mark.parametrize("kind", [_KIND, f"{_KIND}; charset=UTF-8", _KIND.upper()])
async def test_fields(kind: str) -> None:
    """Fields are decoded; an empty one is there, and of two with one name the last counts."""
    answer = await sent(b"a=1&a=2&empty=&text=%C3%A9+%26", kind)
    assert answer.json() == {"a": "2", "empty": "", "text": "é &"}


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "", "a/json"])
async def test_kinds(kind: str) -> None:
    """What is no form is refused: a page of another site could send it without being asked."""
    assert (await sent(b"a=1", kind)).status_code == 400


@pytest.mark.parametrize("content", [b"a=" + b"s" * 100, b"a=%FF%FE-secret", "a=é-secret".encode()])
async def test_refusals(content: bytes) -> None:
    """A form that is too large or malformed is refused, and not quoted."""
    answer = await sent(content)
    assert answer.status_code == 400
    assert "secret" not in answer.text
    assert "sss" not in answer.text
