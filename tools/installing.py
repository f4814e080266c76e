"""Runs `pip install` of pinned requirements, and shows how far it has come.

    python tools/installing.py REQUIREMENTS PIP...

pip alone is either silent for a minute or prints hundreds of lines. Needs nothing but Python: it
makes the environment that everything else needs. Ends as pip does; if pip fails, all that it has
printed is printed.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

_PINNED = re.compile(r"^[\w.-]+(?:\[[\w.,-]+\])?==", re.MULTILINE)
_FOUND = re.compile(r"^\s*(?:Collecting|Requirement already satisfied:?|Ignoring) ")
_INSTALLING = "Installing collected packages"
_EVERY = 5.0
"""Seconds between two lines, if they go to no terminal."""


def main(arguments: Sequence[str]) -> int:
    """Run pip, and return its exit code."""
    requirements, *command = arguments
    total = len(pinned(Path(requirements).read_text("utf-8")))
    where = Path(command[0]).parents[1].name
    print(f"Installing {total} packages into {where}, once; later runs begin at once.", flush=True)
    printed: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout  # noqa: S101 - a pipe
        show(_kept(pip.stdout, printed), total, sys.stderr)
    if pip.returncode:
        sys.stderr.writelines(printed)
    return pip.returncode


def pinned(requirements: str) -> list[str]:
    """The beginnings of a file's requirements, one for each package."""
    return _PINNED.findall(requirements)


def show(lines: Iterable[str], total: int, to: TextIO) -> None:
    """Show progress while pip prints lines: on one line of a terminal, else now and then."""
    is_live = to.isatty() and os.environ.get("TERM") != "dumb"
    begun = shown = time.monotonic()
    for text in progress(lines, total):
        now = time.monotonic()
        if is_live:
            to.write(f"\r\x1b[K{text}, {now - begun:.0f} s")
        elif now - shown >= _EVERY:
            shown = now
            to.write(f"progress: {text}, {now - begun:.0f} s so far\n")
        to.flush()
    if is_live:
        to.write("\r\x1b[K")


def progress(lines: Iterable[str], total: int) -> Iterator[str]:
    """What goes on, after each line of pip that tells something."""
    found = 0
    for line in lines:
        if _FOUND.match(line):
            found += 1
            yield f"fetched {min(found, total)} of {total}"
        elif line.startswith(_INSTALLING):
            yield f"fetched all {total}, installing them"


def _kept(lines: Iterable[str], printed: list[str]) -> Iterator[str]:
    for line in lines:
        printed.append(line)
        yield line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
