"""Assets: their paths, what is served, and what is missing."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import httpx
import pytest
from relevo_web.asset_files import Assets, MissingAssetsError
from starlette.applications import Starlette
from support.web.client import client_of


@pytest.fixture(scope="module")
def assets() -> Assets:
    """The assets that all pages share."""
    return Assets()


async def get(assets: Assets, path: str) -> httpx.Response:
    """The answer to a request."""
    async with client_of(Starlette(routes=[assets.route()])) as client:
        return await client.get(path)


@pytest.mark.parametrize(
    "name, media_type",
    [
        ("base.css", "text/css; charset=utf-8"),
        ("theme.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("vendor/uPlot.esm.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_served(assets: Assets, name: str, media_type: str) -> None:
    """Assets are served as what they are, for ever."""
    response = await get(assets, assets.url(name))
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert "immutable" in response.headers["cache-control"]


async def test_another_version(assets: Assets) -> None:
    """A page of before an update gets today's file, and no browser keeps that."""
    response = await get(assets, "/assets/0123456789abcdef/base.css")
    assert response.status_code == 200
    assert "cache-control" not in response.headers


@pytest.mark.parametrize(
    "name",
    [
        "",
        "none.css",
        "%2e%2e/theme.py",
        "..%2Ftheme.py",
        "vendor/ready",
        "vendor/..%2F..%2Ftheme.py",
    ],
)
async def test_not_served(assets: Assets, name: str) -> None:
    """Nothing else is served."""
    response = await get(assets, f"/assets/0123456789abcdef/{name}")
    assert response.status_code == 404


def test_unknown(assets: Assets) -> None:
    """A page that names an asset which does not exist cannot be rendered."""
    with pytest.raises(KeyError, match=re.escape("none.css")):
        assets.url("none.css")


def test_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the files of other projects there are no pages, and the error says what helps."""

    def files(_: str) -> Path:
        return tmp_path

    monkeypatch.setattr(resources, "files", files)
    with pytest.raises(MissingAssetsError, match="make assets"):
        Assets()


def _texts() -> Iterator[tuple[str, str]]:
    root = Path(str(resources.files("relevo_web")))
    for folder in ("assets", "templates"):
        for file in (root / folder).rglob("*.*"):
            if "vendor" not in file.parts:
                yield str(file.relative_to(root)), file.read_text("utf-8")


def test_no_outside_host() -> None:
    """No asset and no template of ours names another host."""
    for name, text in _texts():
        named = set(re.findall(r"https?://[\w.-]+", text))
        assert named <= {"http://www.w3.org"}, name  # the namespace of SVG
