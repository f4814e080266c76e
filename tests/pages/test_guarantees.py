"""docs/guarantees.md names the tests of each promise."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text("utf-8")
PROMISED = PAGE.partition("\n## What Relevo does not do")[0]
_PROMISE = re.compile(r"^- \*\*(.+?)\*\*(.*?)(?=^- \*\*|^## |\Z)", re.DOTALL | re.MULTILINE)
_TEST = re.compile(r"\[`([\w/]+)`\]\(\.\./tests/([\w/]+)\.py\)")
PROMISES = {" ".join(name.split()): text for name, text in _PROMISE.findall(PROMISED)}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_has_tests(promise: str) -> None:
    """Each promise names files of tests, which are there and have tests in them."""
    named = _TEST.findall(PROMISES[promise])
    assert named
    for shown, file in named:
        assert shown == file
        assert re.search(r"^(async )?def test_", (ROOT / f"tests/{file}.py").read_text("utf-8"),
                         re.MULTILINE), file  # fmt: skip


def test_there_are_promises() -> None:
    """The test above finds the page's promises."""
    assert len(PROMISES) > 15
    assert "Versions never repeat or go back" in PROMISES
