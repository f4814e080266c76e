"""Commands on the pages exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"```sh\n(.*?)```|`([^`\n]+)`", re.DOTALL)
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


def test_make_has_what_pages_tell_to_make() -> None:
    """Each `make …` on a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    told = {
        target
        for page in pages
        for block, span in CODE.findall(page.read_text("utf-8"))
        for target in MAKE.findall(block or span)
    }
    assert {"demo", "test"} <= told
    assert told - targets == set()
