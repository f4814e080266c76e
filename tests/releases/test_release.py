"""`make release`: all of a release but the upload, or nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from releases.scratch import LOG, PROJECT, URLS, Scratch

pytestmark = pytest.mark.processes


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """A repository that can be released."""
    return Scratch(tmp_path)


def test_a_release(scratch: Scratch) -> None:
    """A release is a commit with its version and its section of the changelog, a tag, and files."""
    scratch.write("dist-of-before", "")
    scratch.commit("One more file")
    done = scratch.release("0.2.0")
    assert done.code == 0, done.err
    assert scratch.git("cat-file", "-t", "v0.2.0") == "tag"
    assert scratch.git("log", "-1", "--format=%s", "v0.2.0") == "Release 0.2.0"
    assert 'version = "0.2.0"' in scratch.read("pyproject.toml", "v0.2.0")
    changelog = scratch.read("CHANGELOG.md", "v0.2.0")
    assert "## [Unreleased]\n\n## [0.2.0] - 20" in changelog
    assert "[0.2.0]: https://forge.example/relevo/compare/v0.1.0...v0.2.0" in changelog
    dist = scratch.folder / "dist"
    assert sorted(each.name for each in dist.iterdir()) == [
        "SHA256SUMS",
        "relevo-0.2.0-py3-none-any.whl",
        "relevo-0.2.0.cdx.json",
        "relevo-0.2.0.md",
        "relevo-0.2.0.tar.gz",
    ]
    assert (dist / "relevo-0.2.0.md").read_text("utf-8").startswith("# Relevo 0.2.0 (20")
    # Built from the tag's commit, which the checkout never was at.
    assert 'version = "0.2.0"' in (dist / "relevo-0.2.0.tar.gz").read_text("utf-8")
    assert "git push --atomic origin main v0.2.0" in done.out


def test_what_follows_a_release_has_no_released_version(scratch: Scratch) -> None:
    """The branch goes on with a version above the release and below any that may follow."""
    assert scratch.release("0.2.0").code == 0
    assert scratch.git("log", "--format=%s", "-2").split("\n") == [
        "Begin 0.2.1.dev0",
        "Release 0.2.0",
    ]
    assert scratch.git("branch", "--show-current") == "main"
    assert 'version = "0.2.1.dev0"' in scratch.read("pyproject.toml")
    assert scratch.git("status", "--porcelain") == ""
    assert len(scratch.git("worktree", "list").splitlines()) == 1


def test_what_deploys_a_release_names_it(scratch: Scratch) -> None:
    """The chart, the compose file and the tests' goldens name the newest release, also after it."""
    chart = 'apiVersion: v2\nversion: 0.1.0\nappVersion: "0.1.0"\nkubeVersion: 10.1.0\n'
    files = {
        "deploy/helm/relevo/Chart.yaml": chart,
        "deploy/compose/compose.yaml": "image: ${IMAGE:-relevo:0.1.0}\n",
        "tests/deploy/golden/all.yaml": "chart: relevo-0.1.0\n",
    }
    for name, text in files.items():
        (scratch.folder / name).parent.mkdir(parents=True)
        scratch.write(name, text)
    scratch.commit("Deploy it")
    assert scratch.release("0.2.0").code == 0
    for name, text in files.items():
        expected = text.replace("0.1.0", "0.2.0").replace("10.2.0", "10.1.0")
        assert scratch.read(name) == expected
        assert scratch.read(name, "v0.2.0") == expected.strip()


def test_a_dry_run_keeps_nothing(scratch: Scratch) -> None:
    """A dry run does everything and shows the notes; afterwards all is as it was."""
    before = scratch.state()
    done = scratch.release("0.2.0", "--dry-run")
    assert done.code == 0, done.err
    assert "## Upgrade notes" in done.out
    assert scratch.state() == before


def test_a_failed_check_keeps_nothing(scratch: Scratch) -> None:
    """If a file of the release fails its check, there is neither a commit nor a tag nor a file."""
    scratch.write("broken", "")
    scratch.commit("Break it")
    before = scratch.state()
    done = scratch.release("0.2.0")
    assert done.code == 1
    assert "make dist: it does not start" in done.err
    assert scratch.state() == before


def test_a_branch_that_cannot_move_has_no_tag(scratch: Scratch) -> None:
    """If the branch cannot get the commit, the tag goes too: a release is never half made."""
    hook = scratch.folder / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != prepared ] || ! grep -q refs/heads/main\n')
    hook.chmod(0o755)
    before = scratch.state()
    done = scratch.release("0.2.0")
    assert (done.code, "merge" in done.err) == (1, True)
    assert scratch.state() == before


def malformed(_: Scratch) -> str:
    """A version in another form."""
    return "v0.2.0"


def dirty(scratch: Scratch) -> str:
    """A change that is not committed."""
    scratch.write("pyproject.toml", PROJECT + URLS + "\n")
    return "0.2.0"


def untracked(scratch: Scratch) -> str:
    """A file that git does not know."""
    scratch.write("notes.txt", "")
    return "0.2.0"


def detached(scratch: Scratch) -> str:
    """A commit that is no branch's."""
    scratch.git("checkout", "--quiet", "--detach")
    return "0.2.0"


def tagged(scratch: Scratch) -> str:
    """A version that has a tag, and no section in the changelog."""
    scratch.git("tag", "v0.2.0")
    return "0.2.0"


def smaller(_: Scratch) -> str:
    """A version below the newest one."""
    return "0.0.9"


def nothing_new(scratch: Scratch) -> str:
    """No entry since the last release."""
    scratch.write("CHANGELOG.md", LOG.replace("### Added\n\n- A method.\n\n", ""))
    scratch.commit("Take it back")
    return "0.2.0"


def a_patch(_: Scratch) -> str:
    """A patch, which may not add a method."""
    return "0.1.1"


@pytest.mark.parametrize(
    "prepare, said",
    [
        (malformed, "VERSION=v0.2.0 is not MAJOR.MINOR.PATCH"),
        (dirty, "changes that are not committed:\nM pyproject.toml"),
        (untracked, "changes that are not committed:\n?? notes.txt"),
        (detached, "HEAD is on no branch"),
        (tagged, "0.2.0 is not greater than 0.2.0, which is released"),
        (smaller, "0.0.9 is not greater than 0.1.0, which is released"),
        (nothing_new, "there is nothing to release"),
        (a_patch, "by Semantic Versioning it is 0.2.0 or greater"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_what_must_not_be_released(
    scratch: Scratch, prepare: Callable[[Scratch], str], said: str
) -> None:
    """A release that would be wrong is refused before anything is built, and with the reason."""
    version = prepare(scratch)
    before = scratch.state()
    done = scratch.release(version)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert scratch.state() == before
