"""Markdown as the generated pages need it: tables, and text that stays what it is."""

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")


def text(plain: str) -> str:
    """Plain text of a comment or a docstring, on one line. Code in backticks stays code.

    `<` and `*` outside of code mean nothing in it, so they are escaped.
    """
    parts = _CODE.split(" ".join(plain.split()))
    return "".join(
        part if part.startswith("`") else re.sub(r"[<*]", r"\\\g<0>", part) for part in parts
    )


def paragraphs(plain: str) -> str:
    """The same for text of several paragraphs."""
    return "\n\n".join(text(each) for each in re.split(r"\n\s*\n", plain.strip()) if each.strip())


def cell(markdown: str) -> str:
    """Markdown for a cell of a table."""
    return markdown.replace("|", r"\|").replace("\n", " ") or " "


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; "" without rows."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    if not lines:
        return ""
    head = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    return f"\n{head}" + "\n".join(lines) + "\n"
