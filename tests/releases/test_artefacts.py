"""The checks of a release's packages see what they are for."""

from pathlib import Path

import pytest
from artefacts import (
    ArtefactError,
    Packages,
    build,
    check_files,
    check_installed,
    check_pages,
    check_source,
)

pytestmark = pytest.mark.processes
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "small"
version = "1.0"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Packages, Packages]:
    """The packages of two projects of the same name and version, which differ in a value."""
    made = list[Packages]()
    for value in (1, 2):
        folder = tmp_path_factory.mktemp("small")
        (folder / "small.py").write_text(f"VALUE = {value}\n")
        (folder / "pyproject.toml").write_text(PROJECT)
        made.append(build(folder, folder / "dist"))
    return made[0], made[1]


def test_the_source_makes_the_same_wheel(built: tuple[Packages, Packages]) -> None:
    """The source distribution has to build the very wheel that is released with it."""
    one, other = built
    check_source(one)
    with pytest.raises(ArtefactError, match="builds another wheel than the checkout"):
        check_source(Packages(one.wheel, other.sdist))


def test_only_what_is_committed_is_released(built: tuple[Packages, Packages]) -> None:
    """A file that git does not know is named, and not released."""
    check_files(built[0], {"small.py", "pyproject.toml"})
    with pytest.raises(ArtefactError, match=r"not in git, but in small-1\.0\.tar\.gz: small\.py"):
        check_files(built[0], {"pyproject.toml"})


def test_pages_are_whole(built: tuple[Packages, Packages]) -> None:
    """A package without what its pages need of other projects, or the licences, is not released."""
    with pytest.raises(ArtefactError, match=r"LICENCES\.txt, .*htmx\.min\.js"):
        check_pages(built[0])


@pytest.mark.parametrize(
    "program, said",
    [
        ("echo relevo 0.1.0", "relevo --version says 0.1.0, and not 0.2.0"),
        (
            '[ "$1" = --version ] && echo relevo 0.2.0 || echo "no port" >&2',
            "serve does not start:\nno port",
        ),
    ],
)
def test_an_installed_server_has_to_work(tmp_path: Path, program: str, said: str) -> None:
    """A wheel that installs as another version, or whose server does not start, is not released."""
    relevo = tmp_path / "bin" / "relevo"
    relevo.parent.mkdir()
    relevo.write_text(f"#!/bin/sh\n{program}\n")
    relevo.chmod(0o755)
    with pytest.raises(ArtefactError) as refused:
        check_installed(tmp_path, "0.2.0")
    assert said in str(refused.value)
