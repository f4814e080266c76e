"""Handles extras that a command needs and that are not installed."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_OWN = ("relevo", "relevo_client", "relevo_server")


class MissingExtraError(Exception):
    """Raised if a command needs an extra that is not installed. Its text says how to install it."""

    def __init__(self, extra: str, missing: str) -> None:
        super().__init__(f"needs {missing}; install it with: pip install 'relevo[{extra}]'")


@contextmanager
def needing(extra: str) -> Generator[None, None, None]:
    """Wrap imports that need an extra. Raises MissingExtraError if a package is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OWN:
            raise  # a defect of our own, which no installation fixes
        raise MissingExtraError(extra, missing) from error


def add_placeholder(commands: Any, name: str, text: str, missing: MissingExtraError) -> None:
    """Add a subcommand that accepts any arguments and raises `missing`."""

    def refuse(_: argparse.Namespace) -> int:
        raise missing

    # No argument begins with NUL, so argparse takes none for an option, not even --help.
    parser = commands.add_parser(name, help=text, add_help=False, prefix_chars="\0")
    parser.add_argument("arguments", nargs="*")
    parser.set_defaults(run=refuse, parser=parser)
