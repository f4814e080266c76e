"""Unpacks a Debian package with all its dependencies into a folder of its own.

Nothing is installed: apt uses lists, a cache and a database inside the folder. As the C
library is included, a package of a newer Debian runs on an older one. The code contains
no addresses: apt reports the machine's sources of Debian, and other releases have the
same addresses.
"""

import platform
import shlex
import shutil
from pathlib import Path

from matrix.absent import AbsentError
from matrix.commands import run

_CONFIGURATION = """
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
APT::Install-Recommends "0";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "0";
"""
_SOURCES = """
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
"""
_SOURCE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {}\n"


def unpack(package: str, release: str, folder: Path) -> Path:
    """Fetch a package and its dependencies, and return the root of their file system.

    `release` is a Debian's codename, such as "trixie". Raises AbsentError if the machine
    has no Debian, or apt fails.
    """
    for each in ("state/lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "state" / "status").touch()  # an empty database of installed packages
    configuration = folder / "apt.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder))
    _apt(configuration, "update")
    sources = _sources(configuration, release)
    if not sources:
        raise AbsentError("apt has no sources of Debian on this machine")
    (folder / "sources.list").write_text("".join(map(_SOURCE.format, sources)))
    configuration.write_text((_CONFIGURATION + _SOURCES).format(folder=folder))
    _apt(configuration, "update")
    _apt(configuration, "install", "--yes", "--download-only", package)
    for archive in sorted((folder / "cache" / "archives").glob("*.deb")):
        run("dpkg-deb", "--extract", str(archive), str(folder / "root"))
    for each in ("state", "cache"):
        shutil.rmtree(folder / each)
    return folder / "root"


def command(root: Path, program: str) -> list[str]:
    """The command that runs a program of that file system with its libraries."""
    loader = next(each for each in root.rglob("ld-linux*.so.*") if not each.is_symlink())
    libraries = {str(each.parent) for each in root.rglob("lib*.so.*")}
    start = [loader, "--library-path", ":".join(sorted(libraries)), root / "usr/bin" / program]
    return list(map(str, start))


def launcher(root: Path, program: str) -> str:
    """A shell script that runs a program of that file system with its libraries."""
    return f'#!/bin/sh\nexec {shlex.join(command(root, program))} "$@"\n'


def _apt(configuration: Path, *arguments: str) -> str:
    return run("apt-get", "--quiet=2", *arguments, APT_CONFIG=str(configuration))


def _sources(configuration: Path, release: str) -> list[str]:
    """The machine's own sources of Debian, as lines for another release."""
    line = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
    only = ("Origin: Debian", "Component: main", "Created-By: Packages")
    found = _apt(configuration, "indextargets", "--format", line, *only)
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    return [each.replace(f" {own}", f" {release}") for each in found.splitlines()]
