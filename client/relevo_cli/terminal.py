"""The terminal: its width, its colours, and what must not reach it."""

import os
import shutil
import sys
from bisect import bisect_right
from itertools import accumulate
from typing import Literal, TextIO
from unicodedata import combining, east_asian_width

Colour = Literal["red", "green", "yellow", "bold"]
_CODES: dict[Colour, int] = {"bold": 1, "red": 31, "green": 32, "yellow": 33}


def width() -> int | None:
    """The columns that a line may have, or None if the output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def is_live(stream: TextIO) -> bool:
    """Whether a line of the stream can be drawn anew: on a terminal, unless TERM is `dumb`."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colours(stream: TextIO | None = None) -> bool:
    """Whether text may be coloured, on standard output by default.

    On a terminal, unless NO_COLOR is set or TERM is `dumb`.
    """
    return is_live(stream or sys.stdout) and not os.environ.get("NO_COLOR")


def painted(text: str, colour: Colour) -> str:
    """The text in a colour, if colours are wanted."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if has_colours() else text


def printable(text: str) -> str:
    r"""The text without characters that command a terminal; they become escapes such as \x1b.

    What clients and users wrote into the store must not move the cursor of an operator.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def columns(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum((east_asian_width(c) in "WF") + 1 for c in text if not combining(c))


def cut(text: str, most: int) -> str:
    """The text in at most so many columns; `…` stands for what is cut."""
    if columns(text) <= most:
        return text
    ends = list(accumulate(map(columns, text)))
    return f"{text[: bisect_right(ends, most - 1)]}…" if most > 0 else ""
