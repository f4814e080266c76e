"""The client of an application that is served by no server."""

import httpx
from starlette.types import ASGIApp


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    """A client that asks an application in this process, as `localhost`."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
