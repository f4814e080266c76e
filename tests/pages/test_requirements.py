"""What is installed is known: exact versions, the hashes of their files, and no addresses."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sbom import components, differences, pinned

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXACT = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+(?: ; [^\\]+?)?((?: --hash=sha256:[0-9a-f]{64})+)")

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def lines_of(file: Path) -> list[str]:
    """The requirements of a file, each with its hashes."""
    text = re.sub(r" \\\n\s+", " ", file.read_text("utf-8"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@each_file
def test_every_requirement_has_hashes(file: Path) -> None:
    """Each line is one version of a package with its hashes: no address, no option, no range."""
    lines = lines_of(file)
    assert lines
    assert [line for line in lines if not EXACT.fullmatch(line)] == []
    assert "://" not in file.read_text("utf-8")


def wanted() -> list[Requirement]:
    """What pyproject.toml names for the package, its extras and its development."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    named = [project["dependencies"], *project["optional-dependencies"].values(), *groups.values()]
    found = [Requirement(each) for some in named for each in some]
    return [each for each in found if each.name != "relevo"]


def test_what_the_project_needs_is_pinned() -> None:
    """Each package of pyproject.toml has a version that it allows, for development and servers."""
    versions = pinned((ROOT / "requirements/dev.txt").read_text("utf-8"))
    for each in wanted():
        assert versions[canonicalize_name(each.name)] in each.specifier, each
    server = PROJECT["project"]["optional-dependencies"]["server"]
    needed = {canonicalize_name(Requirement(each).name) for each in server}
    assert needed <= pinned((ROOT / "requirements/server.txt").read_text("utf-8")).keys()


def test_servers_have_what_was_tested() -> None:
    """A server's requirements are those of the tests: the same versions, and the same files."""
    tested = set(lines_of(ROOT / "requirements/dev.txt"))
    assert set(lines_of(ROOT / "requirements/server.txt")) <= tested


def test_tools_have_versions() -> None:
    """`.ci/run` installs no tool in whatever version is the latest."""
    script = (ROOT / ".ci/run").read_text("utf-8")
    tools = re.findall(r"go install (\S+)", script)
    assert tools
    assert [each for each in tools if not re.search(r"@v\d+\.\d+\.\d+$", each)] == []


def test_differences_of_an_sbom_are_seen() -> None:
    """A release ends if its SBOM has another version, or lacks a package, or has one more."""
    wanted = {"grpcio": "1.85.1", "redis": "8.1.0"}
    assert differences(wanted, wanted) == []
    assert differences({"grpcio": "1.85.0", "redis": "8.1.0"}, wanted) == ["grpcio"]
    assert differences({"grpcio": "1.85.1"}, wanted) == ["redis"]
    assert differences({**wanted, "left-pad": "1.0"}, wanted) == ["left-pad"]


def test_what_an_sbom_and_a_file_name() -> None:
    """Names are compared in one form; requirements of other machines are left out."""
    text = "typing_extensions==4.16.0 \\\n    --hash=sha256:00\n"
    text += "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    assert pinned(text) == {"typing-extensions": "4.16.0"}
    named = {"name": "typing_extensions", "version": "4.16.0"}
    sbom = {
        "metadata": {"component": {"name": "relevo", "version": "0.1.0"}},
        "components": [named],
    }
    assert components(sbom) == {"relevo": "0.1.0", "typing-extensions": "4.16.0"}
