"""The pages for contributors, and the decisions, name modules, files and folders that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = [f"docs/decisions/{page.name}" for page in (ROOT / "docs/decisions").glob("*.md")]
PAGES = ["docs/architecture.md", "CONTRIBUTING.md", *sorted(DECISIONS)]
SIDES = (ROOT, ROOT / "client/relevo_client", ROOT / "server/relevo_server")
"""What the pages' names are relative to."""
MADE = (".venv/", ".venv-generate/")
"""Folders that `make` creates."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|_[a-z_]+|[\w.-]+\.(?:py|lua|md|toml|proto)")
"""A path, a private package, or a file. Other words in backticks are not looked at."""
IN_DIAGRAM = re.compile(r"(?<![\w/-])(_?[a-z]\w*(?:/\w+)+|_[a-z]\w+|\w+\.lua)\b")


def names(text: str) -> Iterator[str]:
    """What a page names: in backticks, and in its diagrams."""
    for kind, block in FENCE.findall(text):
        if kind == "mermaid":
            yield from IN_DIAGRAM.findall(block)
    for span in SPAN.findall(FENCE.sub("", text)):
        if NAME.fullmatch(span):
            yield span


def exists(name: str) -> bool:
    """Whether a name is a file or a folder of the repository, or a module of one of its sides."""
    if name.startswith(MADE):
        return True
    if "/" not in name and "." in name:
        return any(each.is_file() for each in tracked(name))
    return any((side / f"{name}{suffix}").exists() for side in SIDES for suffix in ("", ".py"))


def tracked(name: str) -> Iterator[Path]:
    """The files of this name that are the project's own."""
    for folder in ("client", "server", "docs", "protos", "tests"):
        yield from (ROOT / folder).rglob(name)
    yield ROOT / name


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    """Each path and each module on the page is there."""
    found = set(names((ROOT / page).read_text("utf-8")))
    assert len(found) > 10 or page in DECISIONS
    assert {name for name in found if not exists(name)} == set()


def test_a_name_that_is_gone_is_seen() -> None:
    """The test above sees a module that has moved, in a sentence and in a diagram."""
    text = "Read `_store/gone`, `storage/redis`.\n```mermaid\nflowchart TD\n  a[_store/lost]\n```\n"
    assert {name for name in names(text) if not exists(name)} == {"_store/gone", "_store/lost"}
