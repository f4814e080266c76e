"""Commands to try after the demo, which work as they stand."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Hint(NamedTuple):
    """A command to try."""

    arguments: str
    """The arguments of `relevo`."""
    meaning: str
    """Its effect."""


HINTS: Sequence[Hint] = (
    Hint("demo --all", "four conversations of three tenants; the entry of each setting"),
    Hint("demo --platform", "six services and queues, measured in three ways; some 3 minutes"),
    Hint("serve", "a store of your own; README.md has the lines that a service needs"),
    Hint("serve --help", "the same on Redis, with TLS, principals and metrics"),
)


def command() -> str:
    """The command as the user can type it: `relevo`, or its path if the PATH does not have it."""
    own = Path(sys.executable).with_name("relevo")
    if shutil.which("relevo") or not own.exists():
        return "relevo"
    return os.path.relpath(own)
