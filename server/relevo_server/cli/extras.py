"""What the command does not bring along: packages of an extra that is not installed."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_OWN = ("relevo", "relevo_client", "relevo_server")


class MissingExtraError(Exception):
    """A command needs an extra that is not installed. Says how to install it."""

    def __init__(self, extra: str, missing: str) -> None:
        super().__init__(f"needs {missing}; install it with: pip install 'relevo[{extra}]'")


@contextmanager
def needing(extra: str) -> Generator[None, None, None]:
    """Around imports that need an extra. Raises MissingExtraError if a package is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OWN:
            raise  # a defect, which no installation mends
        raise MissingExtraError(extra, missing) from error


def add_placeholder(commands: Any, name: str, text: str, missing: MissingExtraError) -> None:
    """Add a subcommand that takes any arguments, and says what it needs."""

    def refuse(_: argparse.Namespace) -> int:
        raise missing

    # No argument begins with NUL: every one is taken as it is, --help too.
    parser = commands.add_parser(name, help=text, add_help=False, prefix_chars="\0")
    parser.add_argument("arguments", nargs="*")
    parser.set_defaults(run=refuse, parser=parser)
