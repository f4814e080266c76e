"""The demos' console, readable with and without a terminal, best at 100 columns or more."""

import io
import os
import sys
from typing import Any, cast

from relevo_cli import terminal
from rich.console import Console

_WITHOUT_TERMINAL = 100
_WIDEST = 120


def console() -> Console:
    """A console for standard output, of a width at which tables are readable.

    Without colours, also if NO_COLOR is set or TERM is `dumb`, it writes text alone.
    """
    # Not every terminal can encode every character.
    cast("io.TextIOWrapper[Any]", sys.stdout).reconfigure(errors="replace")
    console = Console(
        highlight=False,
        markup=False,
        emoji=False,
        color_system="auto" if terminal.has_colours() else None,
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WITHOUT_TERMINAL
    console.width = min(console.width, _WIDEST)
    return console
