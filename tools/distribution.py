"""Makes the files of a release in dist/: `make dist`.

The wheel, the source distribution, an SBOM of a server that is installed from the wheel and
requirements/server.txt alone, the notes of the release, and the checksums of all. Each file is
checked. Between releases there are no notes.
"""

import hashlib
import shutil
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import artefacts
import changelog
import sbom
from commands import ROOT, FailedError, run

DIST = ROOT / "dist"
SERVER = ROOT / ".venv-release" / "server"
"""The environment of a server with nothing else in it."""
_PROBLEMS = (artefacts.ArtefactError, changelog.ChangelogError, sbom.SbomError, FailedError)


def main() -> None:
    """Make the files anew, and say what they are."""
    began = time.monotonic()
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        made = make(DIST)
    except _PROBLEMS as problem:
        shutil.rmtree(DIST, ignore_errors=True)  # what failed a check is no release
        sys.exit(f"make dist: {problem}")
    for each in made:
        print(f"{each.stat().st_size / 1024:8.1f} KiB  {each.relative_to(ROOT)}")
    print(f"made and checked in {time.monotonic() - began:.0f} s")


def make(folder: Path) -> Sequence[Path]:
    """Make the files of a release in a new folder. Raises what the checks raise."""
    packages = artefacts.build(ROOT, folder)
    artefacts.check_metadata(packages)
    artefacts.check_contents(packages)
    artefacts.check_pages(packages)
    if artefacts.is_checkout():
        artefacts.check_files(packages, run("git", "ls-files", "-z").split("\0"))
    artefacts.check_source(packages)
    artefacts.install(packages.wheel, sbom.REQUIREMENTS, SERVER)
    artefacts.check_installed(SERVER, packages.version)
    stem = folder / f"relevo-{packages.version}"
    sbom.write(SERVER, stem.with_name(f"{stem.name}.cdx.json"), packages.version)
    notes = notes_of(packages.version)
    if notes:
        stem.with_name(f"{stem.name}.md").write_text(notes, "utf-8")
    made = sorted(folder.iterdir())
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{_digest(each)}  {each.name}\n" for each in made))
    return [*made, sums]


def notes_of(version: str) -> str:
    """The notes of a release, "" if CHANGELOG.md has no section of this version."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    section = changelog.read(text).section(version)
    return changelog.notes(section, repository()) if section else ""


def repository() -> str:
    """The address of the project's repository, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    address: str = project["urls"]["Homepage"]
    return address


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
