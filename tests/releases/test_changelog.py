"""The changelog: what a release makes of it, and the notes that it has."""

from datetime import date
from pathlib import Path

import pytest
from changelog import Changelog, ChangelogError, Section, least, notes, read, released
from packaging.version import Version

REPOSITORY = "https://forge.example/relevo"
HEAD = "# Changelog\n\nWhat users notice.\n"
FIRST = "## [0.1.0] - 2026-01-05\n\n### Added\n\n- Everything.\n"


def log(unreleased: str, *older: str) -> Changelog:
    """A changelog with these unreleased entries."""
    return read("\n".join([HEAD, f"## [Unreleased]\n\n{unreleased}", *older]))


def test_the_changelog_can_be_released() -> None:
    """Each word of CHANGELOG.md is in a heading or an entry below one, so a release loses none."""
    text = (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")
    found = read(text)
    assert found.sections[0].version == "Unreleased"
    for section in found.sections:
        lines = [each for each in section.body.splitlines() if not each.startswith("### ")]
        words = " ".join(each.removeprefix("- ") for each in lines).split()
        assert " ".join(each.text for each in section.entries()).split() == words


def test_what_was_unreleased_is_the_new_versions() -> None:
    """A release takes all entries, gets its date, and leaves an empty section above itself."""
    before = log("### Fixed\n\n- A leak,\n  at last.\n", FIRST)
    after = released(before, "0.1.1", date(2026, 2, 1))
    assert after.text(REPOSITORY) == (
        f"{HEAD}\n## [Unreleased]\n\n"
        "## [0.1.1] - 2026-02-01\n\n### Fixed\n\n- A leak,\n  at last.\n\n"
        f"{FIRST}\n"
        f"[Unreleased]: {REPOSITORY}/compare/v0.1.1...HEAD\n"
        f"[0.1.1]: {REPOSITORY}/compare/v0.1.0...v0.1.1\n"
        f"[0.1.0]: {REPOSITORY}/releases/tag/v0.1.0\n"
    )


def test_a_changelog_is_read_as_it_was_written() -> None:
    """Reading and writing changes nothing, so that a release changes only its own lines."""
    text = released(log("### Added\n\n- More.\n", FIRST), "0.2.0", date(2026, 2, 1)).text(
        REPOSITORY
    )
    assert read(text).text(REPOSITORY) == text


@pytest.mark.parametrize(
    "newest, entries, smallest",
    [
        ("0.1.0", "### Fixed\n\n- A leak.", "0.1.1"),
        ("0.1.0", "### Security\n\n- A hole.", "0.1.1"),
        ("0.1.4", "### Added\n\n- A method.", "0.2.0"),
        ("0.1.4", "### Fixed\n\n- **Breaking**: a name.", "0.2.0"),
        ("1.4.2", "### Changed\n\n- A default.", "1.5.0"),
        ("1.4.2", "### Changed\n\n- **Breaking**: a default.", "2.0.0"),
        ("1.4.2", "### Deprecated\n\n- A name.\n\n### Fixed\n\n- A leak.", "1.5.0"),
        ("1.4.2", "### Fixed\n\n- A leak.\n- **Upgrade**: give a right first.", "1.4.3"),
    ],
)
def test_the_smallest_next_version(newest: str, entries: str, smallest: str) -> None:
    """Fixes may be a patch, what is new is a minor version, and what breaks a major one."""
    older = FIRST.replace("0.1.0", newest)
    assert least(log(entries, older)) == Version(smallest)


def test_the_first_release_may_have_any_version() -> None:
    """Without a release before it, what is unreleased breaks nobody's code."""
    assert least(log("### Changed\n\n- **Breaking**: all of it.")) == Version("0.0.1")


@pytest.mark.parametrize(
    "text, said",
    [
        (HEAD + FIRST, "its first section is not '## [Unreleased]'"),
        (f"{HEAD}\n## [Unreleased]\n\n## [0.1.0]\n\n### Added\n", "[0.1.0] has no date"),
        (f"{HEAD}\n## [Unreleased]\n\n{FIRST}", "there is nothing to release"),
        (f"{HEAD}\n## [Unreleased]\n\n### Added\n\n{FIRST}", "there is nothing to release"),
        (f"{HEAD}\n## [Unreleased]\n\n### New\n\n- A method.\n", "has '### New': use Added, "),
        (f"{HEAD}\n## [Unreleased]\n\n- A method.\n", "has an entry without a heading"),
        (f"{HEAD}\n## [Unreleased]\n\n### Added\n\nA method.\n", "is no entry: 'A method.'"),
    ],
)
def test_what_cannot_be_released_is_said(text: str, said: str) -> None:
    """A changelog that would lose text, or has nothing to release, is refused with the place."""
    with pytest.raises(ChangelogError) as refused:
        least(read(text))
    assert said in str(refused.value)


def test_notes_begin_with_what_to_do() -> None:
    """Notes say first what to do and what breaks, without the marks, and then the rest."""
    body = (
        "### Changed\n\n- **Breaking**: a server refuses\n  plain calls.\n- Gets are faster.\n\n"
        "### Added\n\n- **Upgrade**: give the user `+scan` ([rights](docs/operations.md#rights)).\n"
        "- See [the docs](https://docs.example/a).\n"
    )
    pages = f"{REPOSITORY}/blob/v2.0.0/docs/operations.md"
    assert notes(Section("2.0.0", "2026-02-01", body), REPOSITORY) == (
        "# Relevo 2.0.0 (2026-02-01)\n\n"
        "## Upgrade notes\n\n"
        f"### Do this when you upgrade\n\n- Give the user `+scan` ([rights]({pages}#rights)).\n\n"
        "### What breaks\n\n- A server refuses\n  plain calls.\n\n"
        "## Added\n\n- See [the docs](https://docs.example/a).\n\n"
        "## Changed\n\n- Gets are faster.\n"
    )


def test_notes_without_upgrade_notes_say_so() -> None:
    """If nothing breaks and nothing is to be done, the notes say so: silence could be a mistake."""
    found = notes(Section("0.1.1", "2026-02-01", "### Fixed\n\n- A leak.\n"), REPOSITORY)
    assert "Nothing breaks, and there is nothing to do before you upgrade." in found
