"""Builds the packages of a release, and checks what was built.

Each check raises ArtefactError or, if a program finds the fault, FailedError.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import web_assets
from commands import ROOT, environment, module, run

_KEY = "conversation:acme:release"
_SECTION = {"model": "m-1"}


class ArtefactError(Exception):
    """A package that is not what it should be."""


def is_checkout() -> bool:
    """Whether this is a checkout, and not an unpacked source distribution."""
    return (ROOT / ".git").exists()


class Packages(NamedTuple):
    """The two packages of a release."""

    wheel: Path
    sdist: Path

    @property
    def version(self) -> str:
        """The version that their names have."""
        return self.wheel.name.split("-")[1]


def build(source: Path, folder: Path) -> Packages:
    """Build the wheel and the source distribution. The same commit makes the same bytes."""
    _hatchling(source, folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Packages(wheel, sdist)


def check_metadata(packages: Packages) -> None:
    """An index accepts both packages, and can show their description."""
    module("twine", "check", "--strict", *packages)


def check_contents(packages: Packages) -> None:
    """The wheel installs its own packages and nothing else; pyproject.toml names them."""
    module("check_wheel_contents", packages.wheel)


def check_files(packages: Packages, committed: Collection[str]) -> None:
    """The source distribution has only files that are committed, and those of pages."""
    with tarfile.open(packages.sdist) as archive:
        names = {each.partition("/")[2] for each in archive.getnames()}
    of_pages = {name for name in names if name.startswith(f"{web_assets.VENDOR}/")}
    strangers = sorted(names - {"PKG-INFO"} - of_pages - set(committed))
    if strangers:
        raise ArtefactError(f"not in git, but in {packages.sdist.name}: {', '.join(strangers)}")


def check_pages(packages: Packages) -> None:
    """Both packages have what pages need of other projects, the licences, and nothing more."""
    files = {Path(file).name for some in web_assets.FILES.values() for file in some}
    needed = {*files, web_assets.LICENCES, web_assets.STAMP}
    with zipfile.ZipFile(packages.wheel) as wheel, tarfile.open(packages.sdist) as sdist:
        named = {packages.wheel: wheel.namelist(), packages.sdist: sdist.getnames()}
    for package, names in named.items():
        found = {Path(name).name for name in names if f"/{web_assets.VENDOR.name}/" in name}
        if needed != found:
            wrong = ", ".join(sorted(needed ^ found))
            raise ArtefactError(f"missing in {package.name}, or of no use there: {wrong}")


def check_source(packages: Packages) -> None:
    """The source distribution builds the same wheel, byte by byte."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with tarfile.open(packages.sdist) as archive:
            archive.extractall(folder, filter="data")
        (source,) = folder.iterdir()
        _hatchling(source, folder, "--target", "wheel")
        rebuilt = folder / packages.wheel.name
        if not rebuilt.exists() or rebuilt.read_bytes() != packages.wheel.read_bytes():
            raise ArtefactError(f"{packages.sdist.name} builds another wheel than the checkout")


def install(wheel: Path, requirements: Path, prefix: Path) -> None:
    """Install a wheel into an empty environment, with the packages of a file of requirements."""
    venv.create(prefix, clear=True, with_pip=False)
    pip = ("pip", "--python", prefix / "bin" / "python", "install")
    # Bytecode of what a server imports is made when it starts, which is a small part.
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile")
    module(*pip, *options, "--require-hashes", "-r", requirements)
    module(*pip, *options, wheel)


def check_installed(prefix: Path, version: str) -> None:
    """An installed server says its version, keeps a context, and answers with it."""
    relevo = prefix / "bin" / "relevo"
    said = run(relevo, "--version").split()[-1]
    if said != version:
        raise ArtefactError(f"relevo --version says {said}, and not {version}")
    with _serving(relevo) as address:
        to_server = ("--target", address)
        text = json.dumps({"llm_config": _SECTION})
        put = json.loads(run(relevo, "put", _KEY, *to_server, stdin=text))
        entry = json.loads(run(relevo, "get", _KEY, *to_server))["entry"]
    if entry["version"] != put["revision"] or entry["context"]["llm_config"] != _SECTION:
        raise ArtefactError(f"{relevo} does not get what it put")


@contextmanager
def _serving(relevo: Path) -> Generator[str]:
    """A server of the installed packages, with its entries in memory: its address."""
    command = (relevo, "serve", "--listen", "127.0.0.1:0", "--log-format", "json")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stderr=pipe, text=True, env=environment()) as server:
        said: Any = server.stderr  # a pipe, as it was asked for
        try:
            lines = list[str]()
            for line in said:
                lines.append(line)
                event: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
                if event.get("event") == "server.started":
                    break
            else:
                raise ArtefactError(f"{relevo} serve does not start:\n{''.join(lines)}")
            yield event["address"]
        finally:
            server.terminate()
            said.read()  # to its end, so that it never waits for a reader


def _hatchling(source: Path, folder: Path, *options: str) -> None:
    command = (sys.executable, "-m", "hatchling", "build", *options, "--directory", str(folder))
    run(*command, folder=source, **_time())


def _time() -> Mapping[str, str]:
    """The time that the files of the packages have: the commit's."""
    if not is_checkout():
        return {}  # hatchling has a fixed time
    return {"SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct").strip()}
