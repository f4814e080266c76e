"""A repository with the tools of releases, in which the packages are two small files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.servers.outcome import Outcome

TOOLS = Path(__file__).parents[2] / "tools"
PROJECT = '[project]\nname = "relevo"\nversion = "0.1.0"\n'
URLS = '\n[project.urls]\nHomepage = "https://forge.example/relevo"\n'
LOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A method.\n\n## [0.1.0] - 2026-01-05\n"
_IGNORED = "dist/\n__pycache__/\n"

_ARTEFACTS = '''
"""Stands in for the builds, which need the network: one file for each package."""
from typing import NamedTuple
from commands import ROOT

class ArtefactError(Exception): ...

class Packages(NamedTuple):
    wheel: object
    sdist: object
    version: str

def build(source, folder):
    text = (source / "pyproject.toml").read_text()
    version = text.partition('version = "')[2].partition('"')[0]
    folder.mkdir()
    names = (f"relevo-{version}-py3-none-any.whl", f"relevo-{version}.tar.gz")
    for name in names:
        (folder / name).write_text(text)
    return Packages(*(folder / name for name in names), version)

def check_installed(prefix, version):
    if (ROOT / "broken").exists():
        raise ArtefactError("it does not start")

check_metadata = check_contents = check_pages = check_source = lambda packages: None
check_files = install = lambda *_: None
is_checkout = lambda: True
'''
_SBOM = '''
"""Stands in for the SBOM: the environment that it describes is not made."""
REQUIREMENTS = None

class SbomError(Exception): ...

def write(environment, sbom, version):
    sbom.write_text("{}")
'''


class Scratch:
    """A repository of one release, 0.1.0, and an entry that is unreleased."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        tools = folder / "tools"
        tools.mkdir()
        for name in (
            "changelog.py",
            "commands.py",
            "distribution.py",
            "release.py",
            "web_assets.py",
        ):
            shutil.copy(TOOLS / name, tools)
        self.write("tools/artefacts.py", _ARTEFACTS)
        self.write("tools/sbom.py", _SBOM)
        self.write("pyproject.toml", PROJECT + URLS)
        self.write("CHANGELOG.md", LOG)
        self.write(".gitignore", _IGNORED)
        self.commit("All of it")
        self.git("tag", "--annotate", "--message", "Relevo 0.1.0", "v0.1.0")

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text, "utf-8")

    def read(self, name: str, commit: str = "") -> str:
        """A file's text, now or at a commit."""
        if commit:
            return self.git("show", f"{commit}:{name}")
        return (self.folder / name).read_text("utf-8")

    def commit(self, message: str) -> None:
        """Commit all files."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def release(self, *arguments: str) -> Outcome:
        """Run the tool that makes releases."""
        command = [sys.executable, "tools/release.py", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def git(self, *arguments: str) -> str:
        """Run git, and return what it printed."""
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=_environment(), capture_output=True, text=True, check=True
        ).stdout.strip()

    def state(self) -> tuple[str, ...]:
        """All that a release changes: commits, tags, branches, copies, and files."""
        seen = (
            *(self.git("for-each-ref"), self.git("rev-parse", "HEAD")),
            *(self.git("worktree", "list"), self.git("status", "--porcelain")),
        )
        files = sorted((self.folder / "dist").glob("*"))
        return (*seen, *(each.name for each in files))


def _environment() -> dict[str, str]:
    """An environment in which git has no other settings than these."""
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    identity = {f"GIT_{name}": "maintainer@forge.example" for name in names}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return {**os.environ, **identity, **settings, "PYTHONDONTWRITEBYTECODE": "1"}
