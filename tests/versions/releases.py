"""The releases that this version has to work beside, each as packages in a folder of its own.

They are built from the tree of their tag, and cached by its commit.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.languages.making import ROOT, built, run

COUNT = 2
"""How many releases: whoever upgrades may have missed one."""
STAND_INS = (
    "07e7fd59a74e0dcac292ae998ba380ca6a9d0768",
    "dfa23b6a2201e8721edc981d2aa54165abd8d41e",
)
"""Commits that stand in for releases as long as there are fewer tags, the newest first. The second
is of before riders, turns, fences that come back, and signs of life without messages."""


@dataclass(frozen=True)
class Release:
    """A release: its tag, or the commit that stands in for one, and the folder of its packages."""

    name: str
    packages: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes Python find this release's packages before those of the checkout."""
        return {"PYTHONPATH": str(self.packages)}


def commits(tags: list[tuple[str, str]], head: str) -> list[tuple[str, str]]:
    """The names and commits of the releases, the newest first.

    `tags` has the names and commits of all, the newest first; one at `head` is this version.
    """
    former = [each for each in tags if each[1] != head]
    return [*former, *((each[:7], each) for each in STAND_INS)][:COUNT]


def release(number: int) -> Release:
    """A release, built unless it has been: 0 for the last one, 1 for the one before.

    The test is skipped if the checkout is a shallow one, without the release's commit.
    """
    name, commit = commits(_tags(), _git("rev-parse", "HEAD").decode().strip())[number]
    if not _git("rev-list", "--max-count=1", "--ignore-missing", commit):
        pytest.skip(f"{name} is not in this checkout: fetch its whole history")
    made = built(f"release-{commit[:12]}", (), lambda folder: _make(commit, folder))
    return Release(name, made / "packages")


def _tags() -> list[tuple[str, str]]:
    """The tags of releases that this version comes after: name and commit, the newest first."""
    listed = _git(
        *("for-each-ref", "--merged=HEAD", "--sort=-version:refname"),
        *("--format=%(refname:short) %(*objectname) %(objectname)", "refs/tags/v*"),
    )
    found = [line.split() for line in listed.decode().splitlines()]
    return [(name, commit) for name, commit, *_ in found]  # an annotated tag has its own id last


def _make(commit: str, made: Path) -> None:
    source = made / "source"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(source, filter="data")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made, folder=source)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as packages:
        packages.extractall(made / "packages")  # noqa: S202 - of our own making
    run(sys.executable, "-m", "compileall", "-q", "packages", folder=made)
    shutil.rmtree(source)


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments],  # noqa: S607 - the developer's own
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
