"""Tables: what they show of cells that are wider than the terminal."""

from itertools import product
from unicodedata import combining

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_cli.tables import Column, table
from relevo_cli.terminal import columns, cut

HEADS = (Column("A"), Column("N", is_number=True), Column("B"))


@given(st.text("ab漢字é\u0301", max_size=20), st.integers(-1, 25))
def test_a_cut_text(text: str, most: int) -> None:
    """It is the longest beginning that leaves a column for `…`, with its combining characters."""
    shown = cut(text, most)
    if columns(text) <= most:
        assert shown == text
        return
    assert columns(shown) <= max(most, 0)
    if most > 0:
        kept = shown.removesuffix("…")
        following = text[len(kept)]
        assert text.startswith(kept)
        assert not combining(following)
        assert columns(kept + following) > most - 1


def test_a_large_cell_takes_no_time() -> None:
    """A cell is cut in one pass: a value of some megabytes is shown at once."""
    value = "ß" * 1_000_000
    (_, line) = table((Column("A"), Column("B")), [[value, value]], 80)
    assert line == f"{'ß' * 38}…  {'ß' * 38}…"


@pytest.mark.parametrize("a, b, width", [*product((3, 20, 60), (3, 20, 60), (20, 40, 50, 100))])
def test_columns_share_the_width(a: int, b: int, width: int) -> None:
    """Only what does not fit is narrowed, evenly and to no less than six columns; numbers never."""
    head, line = table(HEADS, [["a" * a, "12345", "b" * b]], width)
    room = width - 4 - 5
    shown = [columns(line.split()[i]) for i in (0, 2)]
    assert head.split() == ["A", "N", "B"]
    assert line.split()[1] == "12345"
    if a + b <= room:
        assert shown == [a, b]
    elif room >= 12:
        assert sum(shown) == room
        assert all(
            now == needed or now >= room // 2 for now, needed in zip(shown, (a, b), strict=True)
        )
    else:
        assert shown == [min(a, 6), min(b, 6)] or sum(shown) == room
