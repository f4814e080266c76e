"""Assets: stylesheets and scripts, served from memory under a path that has their version.

The path has a digest of all of them, so browsers keep them as long as they like, and a script
finds its neighbours by relative names.
"""

import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from relevo_web.theme import stylesheet

_TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}
"""The media types of assets by the ends of their names. Other files are not served."""
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
_NEEDED = "vendor/htmx.min.js"
"""Stands for all that other projects bring."""


class MissingAssetsError(Exception):
    """Raised if files of other projects that pages need are not installed."""


class _Asset(NamedTuple):
    content: bytes
    media_type: str


class Assets:
    """The assets of pages: those that all share, and those of `packages`, in their `assets/`.

    Raises MissingAssetsError if what other projects bring is missing.
    """

    def __init__(self, *packages: str) -> None:
        found = {"theme.css": _Asset(stylesheet().encode(), "text/css")}
        for package in ("relevo_web", *packages):
            found.update(_found(resources.files(package) / "assets"))
        if _NEEDED not in found:
            raise MissingAssetsError(
                "the files that pages need of other projects are missing; "
                "in a checkout, `make assets` fetches them"
            )
        self._assets: Mapping[str, _Asset] = found
        self._version = _digest(found)

    def url(self, name: str) -> str:
        """The path of an asset. Raises KeyError if there is none of this name."""
        if name not in self._assets:
            raise KeyError(f"no asset {name}")
        return f"/assets/{self._version}/{name}"

    def route(self) -> Route:
        """The route that serves all of them."""
        return Route("/assets/{version}/{name:path}", self._serve, name="assets")

    async def _serve(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return PlainTextResponse("There is no such file.\n", 404)
        # A page of before an update gets the newer file, and does not keep it.
        is_exact = request.path_params["version"] == self._version
        return Response(
            asset.content, media_type=asset.media_type, headers=_FOREVER if is_exact else None
        )


def _found(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, _Asset]]:
    """The assets of a folder by their relative names."""
    if not folder.is_dir():
        return
    for each in folder.iterdir():
        if each.is_dir():
            yield from _found(each, f"{prefix}{each.name}/")
        elif media_type := _TYPES.get(each.name.rpartition(".")[2]):
            yield f"{prefix}{each.name}", _Asset(each.read_bytes(), media_type)


def _digest(assets: Mapping[str, _Asset]) -> str:
    digest = hashlib.sha256()
    for name, asset in sorted(assets.items()):
        digest.update(f"{name}\0{len(asset.content)}\0".encode())
        digest.update(asset.content)
    return digest.hexdigest()[:16]
