"""docs/capacity.md has the figures that `relevo plan` calculates with."""

import re

from capacity import PAGE, page

TEXT = PAGE.read_text("utf-8")
QUICK = ("constants", "points", "plans", "limits")


def test_its_tables_are_those_of_this_version() -> None:
    """The constants, points and plans on the page are what the code has now.

    `make check` compares what is simulated, too.
    """
    assert page(TEXT, QUICK) == TEXT


def test_a_figure_that_has_changed_is_seen() -> None:
    """The test above sees a table that was changed by hand."""
    for name in QUICK:
        changed = re.sub(rf"(<!-- {name} -->\n)", r"\1| 1 |\n", TEXT)
        assert changed != TEXT
        assert page(changed, QUICK) == TEXT
