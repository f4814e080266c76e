"""Links of all pages lead somewhere, and each heading can be linked to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [page for folder in (".", "docs/**", "deploy/**") for page in ROOT.glob(f"{folder}/*.md")],
    key=lambda page: page.as_posix(),
)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


def anchors(page: Path) -> list[str]:
    """The headings of a page, by the anchors that GitHub gives the first of each."""
    text = FENCE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]


each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Each file of the repository that a page refers to is there, and each heading."""
    broken: list[str] = []
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_picture = target.suffix == ".png"  # its anchor says in which theme it is shown
        if not target.exists() or (anchor and not is_picture and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_page
def test_a_heading_is_there_once(page: Path) -> None:
    """No part of a page comes twice: each heading has an anchor of its own."""
    found = anchors(page)
    assert [each for each in sorted(set(found)) if found.count(each) > 1] == []
