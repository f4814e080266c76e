"""Makes a release, all but the upload: `make release VERSION=0.2.0`.

    python tools/release.py VERSION [--dry-run]

Version and changelog are written and committed in a copy of the checkout, and the files are made
and checked there. The branch and dist/ get them, and the commit its tag, only if all succeeds.
"""

import argparse
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import changelog
import distribution
import web_assets
from commands import ROOT, FailedError, run
from packaging.version import Version

_FORM = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}")
_TAG = re.compile(rf"v({_FORM.pattern})")
_VERSION = re.compile(r'^version = "[^"]+"$', re.M)
_CHART = "deploy/helm/relevo/Chart.yaml"
_DEPLOYED = (_CHART, "deploy/compose/compose.yaml", "tests/deploy/golden/*.yaml")
"""Files that name the newest release: its image exists, and that of a later commit does not."""


class RefusedError(Exception):
    """A release that must not be made. Its text says why."""


class Release(NamedTuple):
    """A release that may be made."""

    version: str
    branch: str
    changelog: changelog.Changelog
    """The changelog with the release's section."""

    @property
    def tag(self) -> str:
        """The name of its tag."""
        return f"v{self.version}"

    @property
    def following(self) -> str:
        """The version of the commits after it, which is smaller than any that can follow."""
        released = Version(self.version)
        return f"{released.major}.{released.minor}.{released.micro + 1}.dev0"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a release, or say why not."""
    parser = argparse.ArgumentParser(prog="make release", description="Make a release.")
    parser.add_argument("version", help="MAJOR.MINOR.PATCH, without v")
    parser.add_argument("--dry-run", action="store_true", help="do it in a copy, and keep nothing")
    options = parser.parse_args(arguments)
    try:
        release = planned(options.version, datetime.now(UTC).date())
        make(release, dry_run=options.dry_run)
    except (RefusedError, changelog.ChangelogError, FailedError) as problem:
        sys.exit(f"make release: {problem}")


def planned(version: str, day: date) -> Release:
    """The release of this version on this day.

    Raises RefusedError, or ChangelogError if CHANGELOG.md has nothing to release.
    """
    if not _FORM.fullmatch(version):
        raise RefusedError(f"VERSION={version} is not MAJOR.MINOR.PATCH, as 0.2.0")
    changed = _git("status", "--porcelain")
    if changed:
        raise RefusedError(f"there are changes that are not committed:\n{changed}")
    branch = _git("branch", "--show-current")
    if not branch:
        raise RefusedError("HEAD is on no branch: the commit would be lost")
    log = changelog.read((ROOT / "CHANGELOG.md").read_text("utf-8"))
    least = changelog.least(log)
    released = [Version(each[1]) for each in map(_TAG.fullmatch, _git("tag").split()) if each]
    newest = max([*released, *filter(None, [log.newest()])], default=None)
    if newest and Version(version) <= newest:
        raise RefusedError(f"{version} is not greater than {newest}, which is released")
    if Version(version) < least:
        raise RefusedError(
            f"{version} is too small for what is unreleased: by Semantic Versioning it is {least} "
            "or greater"
        )
    return Release(version, branch, changelog.released(log, version, day))


def make(release: Release, *, dry_run: bool) -> None:
    """Make a release in a copy of the checkout; keep it unless it is a dry run."""
    with _copy() as copy:
        _say(f"commit {release.version}")
        _write_version(copy, release.version)
        _write_deployed(copy, release.version)
        text = release.changelog.text(distribution.repository())
        (copy / "CHANGELOG.md").write_text(text, "utf-8")
        tagged = _commit(copy, f"Release {release.version}")
        _say("make the files and check them (about a minute)")
        print(run(sys.executable, "tools/distribution.py", folder=copy), end="", flush=True)
        _say(f"commit {release.following}")
        _write_version(copy, release.following)
        last = _commit(copy, f"Begin {release.following}")
        if dry_run:
            print(f"\n{(copy / 'dist' / f'relevo-{release.version}.md').read_text('utf-8')}")
            print("A dry run: nothing was kept, and no commit or tag was made.")
            return
        _say(f"tag {release.tag}")
        _keep(release, tagged, last)
        shutil.rmtree(distribution.DIST, ignore_errors=True)
        shutil.copytree(copy / "dist", distribution.DIST)
    print(_LEFT.format(r=release, remote=_remote(release.branch)))


_LEFT = """
{r.tag} is tagged, {r.branch} is at {r.following}, and dist/ has the files. What is left:

    git push --atomic {remote} {r.branch} {r.tag}

The workflow release.yml tests the tag, builds the same files, and uploads them once somebody has
approved it. Without it, upload them yourself, after `make test` on the tag:

    (cd dist && sha256sum --check SHA256SUMS)
    twine upload dist/*.whl dist/*.tar.gz

To take it back, as long as nothing is pushed:

    git tag --delete {r.tag} && git reset --keep HEAD~2"""


@contextmanager
def _copy() -> Generator[Path]:
    """A copy of the last commit, whose commits are the checkout's too."""
    with tempfile.TemporaryDirectory(prefix="relevo-release-") as directory:
        copy = Path(directory) / "relevo"
        _git("worktree", "add", "--quiet", "--detach", str(copy))
        if (ROOT / web_assets.VENDOR).is_dir():  # fetched, and not committed
            shutil.copytree(ROOT / web_assets.VENDOR, copy / web_assets.VENDOR)
        try:
            yield copy
        finally:
            _git("worktree", "remove", "--force", str(copy))


def _keep(release: Release, tagged: str, last: str) -> None:
    """Tag a commit, and move the branch to the last one; neither if one of them fails."""
    _git("tag", "--annotate", "--message", f"Relevo {release.version}", release.tag, tagged)
    try:
        _git("merge", "--quiet", "--ff-only", last)
    except FailedError:
        _git("tag", "--delete", release.tag)
        _git("read-tree", "-m", "-u", last, "HEAD")  # git may have brought the files already
        raise


def _write_version(folder: Path, version: str) -> None:
    """Write the version of the packages, which stands in pyproject.toml alone."""
    file = folder / "pyproject.toml"
    text = _VERSION.sub(f'version = "{version}"', file.read_text("utf-8"), count=1)
    if tomllib.loads(text)["project"]["version"] != version:
        raise RefusedError("pyproject.toml has no line 'version = \"…\"' in [project]")
    file.write_text(text, "utf-8")


def _write_deployed(folder: Path, version: str) -> None:
    """Write the version of the release that the chart and the compose file deploy."""
    chart = folder / _CHART
    if not chart.exists():
        return
    found = re.search(r'^appVersion: "([^"]+)"$', chart.read_text("utf-8"), re.M)
    if not found:
        raise RefusedError(f"{_CHART} has no line 'appVersion: \"…\"'")
    former = re.compile(rf"(?<![\w.]){re.escape(found[1])}(?![\w.])")
    for file in (each for pattern in _DEPLOYED for each in folder.glob(pattern)):
        file.write_text(former.sub(version, file.read_text("utf-8")), "utf-8")


def _commit(folder: Path, message: str) -> str:
    """Commit all changes, and return the commit's hash. CI has run the hooks' checks."""
    _git("commit", "--quiet", "--all", "--no-verify", "--message", message, folder=folder)
    return _git("rev-parse", "HEAD", folder=folder)


def _remote(branch: str) -> str:
    return _git("config", "--default", "origin", f"branch.{branch}.remote")


def _git(*arguments: str, folder: Path = ROOT) -> str:
    return run("git", *arguments, folder=folder).strip()


def _say(step: str) -> None:
    print(f"-- {step}", flush=True)


if __name__ == "__main__":
    main()
