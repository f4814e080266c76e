"""docs/contract.md agrees with the contract and the code."""

import json
import re

from e2e.node.running import SOURCES
from relevo.v1.store_pb2 import ErrorReason
from support.languages.node import LOCK

DOCS = SOURCES.parents[2] / "docs"
PAGE = (DOCS / "contract.md").read_text("utf-8")


def test_the_pages_code_is_the_code_that_runs() -> None:
    """Every block of JavaScript on the page equals a file, from its first line to its last."""
    quoted = re.findall(r"^`(\w+\.js)`[^\n]*\n\n```js\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(quoted) == PAGE.count("```js") > 0
    for name, code in quoted:
        assert code == (SOURCES / name).read_text("utf-8"), name


def test_packages_are_pinned_without_addresses() -> None:
    """The lock file has each package's version and checksum, and no download address."""
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    own = packages.pop("")
    assert (
        own["dependencies"].items()
        <= {
            name.removeprefix("node_modules/"): package["version"]
            for name, package in packages.items()
        }.items()
    )
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_the_page_names_every_reason() -> None:
    """The table of errors has each reason of the contract exactly once."""
    prefix = "ERROR_REASON_"
    reasons = sorted(name.removeprefix(prefix) for name in ErrorReason.DESCRIPTOR.values_by_name)
    told = re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert sorted([*told, "UNSPECIFIED"]) == reasons


def test_links_lead_somewhere() -> None:
    """The page's links, within itself and to this repository, lead to something."""
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {
        f"#{re.sub(r'[^a-z0-9 -]', '', each.lower())}".replace(" ", "-") for each in headings
    }
    links = re.findall(r"\[[^\]\n]+\]\((?!https:)([^)\s]+)\)", PAGE)
    assert links
    for link in links:
        assert link in anchors or (DOCS / link.partition("#")[0]).exists(), link
