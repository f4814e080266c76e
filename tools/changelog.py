"""Reads CHANGELOG.md, makes a release's section of it, and writes the notes of a release.

The format is Keep a Changelog's. An entry that begins with `**Breaking**:` or `**Upgrade**:` is an
upgrade note, too: what changes for users whatever they do, and what they have to do themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from packaging.version import Version

UNRELEASED = "Unreleased"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""The headings that a section may have, in Keep a Changelog's words."""
BREAKING = "**Breaking**: "
UPGRADE = "**Upgrade**: "

_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\d{4}-\d{2}-\d{2}))?$", re.M)
_LINKS = re.compile(r"(?:^\[[^\]]+\]: \S+\n?)+\Z", re.M)
_KIND = re.compile(r"^### (.+)$")
_RELATIVE = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


class ChangelogError(ValueError):
    """A changelog that no release can be made from. Its text says what is wrong, and where."""


@dataclass(frozen=True)
class Entry:
    """One entry of a section."""

    kind: str
    """Its heading: one of `KINDS`."""
    text: str
    """Markdown without the bullet, and with its lines as they are, without indentation."""

    @property
    def is_breaking(self) -> bool:
        """Whether users have to change something, or see another behaviour."""
        return self.text.startswith(BREAKING)

    @property
    def is_upgrade(self) -> bool:
        """Whether users have something to do before or while they upgrade."""
        return self.text.startswith(UPGRADE)


@dataclass(frozen=True)
class Section:
    """A release, or what is unreleased."""

    version: str
    """The version without `v`, or `Unreleased`."""
    day: str
    """The date as YYYY-MM-DD, "" for what is unreleased."""
    body: str
    """All lines below the heading."""

    def entries(self) -> tuple[Entry, ...]:
        """The entries in their order.

        Raises ChangelogError for an unknown heading, and for text outside of an entry.
        """
        return tuple(_entries(self))


@dataclass(frozen=True)
class Changelog:
    """A changelog: the text above the first section, and its sections, the newest first."""

    head: str
    sections: tuple[Section, ...]

    def section(self, version: str) -> Section | None:
        """The section of a version, if there is one."""
        return next((each for each in self.sections if each.version == version), None)

    def newest(self) -> Version | None:
        """The greatest version that was released, if any was."""
        released = [Version(each.version) for each in self.sections if each.version != UNRELEASED]
        return max(released, default=None)

    def text(self, repository: str) -> str:
        """The file's text. Its last lines compare each release with the one before it."""
        blocks = [self.head.rstrip("\n")]
        blocks += (f"{_heading(each)}\n\n{each.body}".rstrip("\n") for each in self.sections)
        return "\n\n".join([*blocks, "\n".join(_links(self.sections, repository))]) + "\n"


def read(text: str) -> Changelog:
    """Read a changelog. Raises ChangelogError if it has no section of what is unreleased."""
    body = _LINKS.sub("", text)
    headings = list(_HEADING.finditer(body))
    if not headings or headings[0]["version"] != UNRELEASED:
        raise ChangelogError(f"its first section is not '## [{UNRELEASED}]'")
    ends = [each.start() for each in headings[1:]] + [len(body)]
    sections = tuple(
        Section(each["version"], each["day"] or "", body[each.end() : end].strip("\n"))
        for each, end in zip(headings, ends, strict=True)
    )
    for each in sections[1:]:
        if not each.day:
            raise ChangelogError(f"[{each.version}] has no date, as '## [{each.version}] - DATE'")
    return Changelog(body[: headings[0].start()], sections)


def least(changelog: Changelog) -> Version:
    """The smallest version that may be released next, by Semantic Versioning.

    A breaking entry needs a new major version, or, before 1.0.0, a new minor one. Everything but
    fixes needs a new minor version. Raises ChangelogError if nothing is unreleased.
    """
    entries = changelog.sections[0].entries()
    if not entries:
        raise ChangelogError(f"[{UNRELEASED}] has no entries: there is nothing to release")
    newest = changelog.newest()
    if not newest:
        return Version("0.0.1")
    major, minor, patch = newest.major, newest.minor, newest.micro
    if major and any(each.is_breaking for each in entries):
        return Version(f"{major + 1}.0.0")
    if any(each.is_breaking or each.kind not in ("Fixed", "Security") for each in entries):
        return Version(f"{major}.{minor + 1}.0")
    return Version(f"{major}.{minor}.{patch + 1}")


def released(changelog: Changelog, version: str, day: date) -> Changelog:
    """The changelog after a release: all that was unreleased is the new version's."""
    unreleased, *others = changelog.sections
    new = replace(unreleased, version=version, day=day.isoformat())
    return replace(changelog, sections=(Section(UNRELEASED, "", ""), new, *others))


def notes(section: Section, repository: str) -> str:
    """The notes of a release: first what users have to know before they upgrade, then the rest.

    Links to pages lead to the pages as they were at the release.
    """
    entries = section.entries()
    lines = [f"# Relevo {section.version} ({section.day})", "", "## Upgrade notes", ""]
    breaking = [_without(BREAKING, each) for each in entries if each.is_breaking]
    upgrade = [_without(UPGRADE, each) for each in entries if each.is_upgrade]
    if not (breaking or upgrade):
        lines += ["Nothing breaks, and there is nothing to do before you upgrade.", ""]
    lines += _block("### Do this when you upgrade", upgrade)
    lines += _block("### What breaks", breaking)
    for kind in KINDS:
        rest = [each.text for each in entries if each.kind == kind and not _is_note(each)]
        lines += _block(f"## {kind}", rest)
    pages = f"{repository}/blob/v{section.version}/"
    return _RELATIVE.sub(rf"]({pages}\1)", "\n".join(lines))


def _without(marker: str, entry: Entry) -> str:
    text = entry.text.removeprefix(marker)
    return text[:1].upper() + text[1:]


def _is_note(entry: Entry) -> bool:
    return entry.is_breaking or entry.is_upgrade


def _block(heading: str, texts: list[str]) -> list[str]:
    bullets = ["- " + text.replace("\n", "\n  ") for text in texts]
    return [heading, "", *bullets, ""] if bullets else []


def _entries(section: Section) -> Iterator[Entry]:
    kind, lines = "", list[str]()
    where = f"[{section.version}]"
    for line in section.body.splitlines():
        heading = _KIND.match(line)
        if lines and not line.startswith("  ") and line:
            yield Entry(kind, "\n".join(lines))
            lines = []
        if heading:
            kind = heading[1]
            if kind not in KINDS:
                raise ChangelogError(f"{where} has '### {kind}': use {', '.join(KINDS)}")
        elif line.startswith("- "):
            if not kind:
                raise ChangelogError(f"{where} has an entry without a heading: {line!r}")
            lines = [line.removeprefix("- ")]
        elif line.startswith("  ") and lines:
            lines.append(line.removeprefix("  "))
        elif line:
            raise ChangelogError(f"{where} has a line that is no entry: {line!r}")
    if lines:
        yield Entry(kind, "\n".join(lines))


def _heading(section: Section) -> str:
    return f"## [{section.version}]" + (f" - {section.day}" if section.day else "")


def _links(sections: tuple[Section, ...], repository: str) -> Iterator[str]:
    """Definitions of the links of all headings."""
    for each, before in zip(sections, (*sections[1:], None), strict=True):
        tag = "HEAD" if each.version == UNRELEASED else f"v{each.version}"
        if before:
            yield f"[{each.version}]: {repository}/compare/v{before.version}...{tag}"
        elif each.version == UNRELEASED:
            yield f"[{each.version}]: {repository}/commits/HEAD"
        else:
            yield f"[{each.version}]: {repository}/releases/tag/{tag}"
