"""Where the demos print: best 100 columns wide or more, with or without a terminal."""

import io
import os
import sys
from typing import Any, cast

from rich.console import Console

_WITHOUT_TERMINAL = 100
_WIDEST = 120


def console() -> Console:
    """Standard output, of a width at which tables can be read."""
    # Not every terminal has every sign.
    cast("io.TextIOWrapper[Any]", sys.stdout).reconfigure(errors="replace")
    found = Console(highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = _WITHOUT_TERMINAL
    found.width = min(found.width, _WIDEST)
    return found
