"""Aligned tables of plain text."""

from collections.abc import Sequence
from typing import NamedTuple

from relevo_cli.terminal import columns, cut, painted, printable

_GAP = "  "
_LEAST = 6
"""Columns below which no column is narrowed."""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    is_number: bool = False
    """Numbers stand at the right, and are never cut."""


def table(heads: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The lines of a table, its titles first. `width` is the most columns, None for any.

    The widest columns of text are narrowed until the table fits; numbers stay whole.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    titles = [head.title for head in heads]
    widths = [max(map(columns, column)) for column in zip(titles, *cells, strict=True)]
    if width is not None:
        _narrow(widths, heads, width)
    first, *others = (_line(row, widths, heads) for row in (titles, *cells))
    return [painted(first, "bold"), *others]


def _narrow(widths: list[int], heads: Sequence[Column], width: int) -> None:
    """Narrow the widest columns of text so that all fit, but none below `_LEAST`.

    The columns of text share what the numbers leave, the narrowest first: what one does not need
    is for those after it.
    """
    numbers = [each for each, head in zip(widths, heads, strict=True) if head.is_number]
    texts = [i for i, head in enumerate(heads) if not head.is_number]
    room = width - len(_GAP) * (len(widths) - 1) - sum(numbers)
    for done, i in enumerate(sorted(texts, key=widths.__getitem__)):
        widths[i] = min(widths[i], max(room // (len(texts) - done), _LEAST))
        room -= widths[i]


def _line(row: Sequence[str], widths: Sequence[int], heads: Sequence[Column]) -> str:
    parts = (
        _padded(cell, width, at_right=head.is_number)
        for cell, width, head in zip(row, widths, heads, strict=True)
    )
    return _GAP.join(parts).rstrip()


def _padded(cell: str, width: int, *, at_right: bool) -> str:
    text = cut(cell, width)
    space = " " * (width - columns(text))
    return f"{space}{text}" if at_right else f"{text}{space}"


def pairs(rows: Sequence[tuple[str, str]], width: int | None) -> list[str]:
    """The lines of a list of names and values."""
    names = max((columns(name) for name, _ in rows), default=0)
    lines: list[str] = []
    for name, value in rows:
        text = printable(value)
        rest = None if width is None else max(width - names - len(_GAP), _LEAST)
        shown = text if rest is None else cut(text, rest)
        lines.append(f"{name}{' ' * (names - columns(name))}{_GAP}{shown}".rstrip())
    return lines
