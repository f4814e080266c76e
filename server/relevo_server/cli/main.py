"""The `relevo` command and its subcommands."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from relevo_server.cli import demo, operate
from relevo_server.cli.extras import MissingExtraError, add_placeholder, needing
from relevo_server.cli.near import hint

_SERVE = "run a ContextStore server"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    The code is 0 for success; 1 if something failed; 2 if the command line or the settings
    are wrong, or an extra is not installed; 3 if there is no such entry; 130 if it was
    interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="relevo", description="A store of execution contexts, and its tools."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    if "serve" in (sys.argv[1:] if arguments is None else arguments):
        _add_serve(commands)
    else:  # for --help; other commands start without the server's packages
        commands.add_parser("serve", help=_SERVE)
    for add in (operate.add_get, operate.add_put, operate.add_invalidate, demo.add):
        add(commands)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        options.parser.error(_unrecognized(unknown, options.parser))
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except MissingExtraError as error:
        print(f"{options.parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


class _Version(argparse.Action):
    """Prints the version. It is looked up only on demand: a plain checkout has none."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"relevo {version('relevo')}")
        parser.exit()


def _add_serve(commands: Any) -> None:
    """Add `relevo serve`, or a placeholder if its packages are not installed."""
    try:
        with needing("server"):
            from relevo_server.cli import serve  # noqa: PLC0415
    except MissingExtraError as error:
        add_placeholder(commands, "serve", _SERVE, error)
    else:
        serve.add(commands, _SERVE)


def _unrecognized(arguments: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """The error for unknown arguments. It quotes no values: they may be secrets."""
    names = [each.partition("=")[0] for each in arguments if each.startswith("-")]
    if not names:
        return f"unrecognized arguments: {len(arguments)} more than expected"
    flags = re.findall(r"--[\w.-]+", parser.format_usage())
    return f"unrecognized arguments: {' '.join(names)}{hint(names[0], flags)}"
