"""The `relevo` command: its subcommands, and how each of them ends."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from relevo_server.cli.extras import MissingExtraError
from relevo_server.cli.near import hint

from relevo_cli.parsers import Command, CommandParser

COMMANDS = (
    Command("serve", "run a ContextStore server", "relevo_server.cli.serve:add", "server"),
    Command("check", "say what is wrong with settings and Redis", "relevo_cli.check:add", "server"),
    Command("get", "print an entry", "relevo_cli.entries:add_get"),
    Command("put", "write an entry, whole or in part", "relevo_cli.entries:add_put"),
    Command("invalidate", "end entries", "relevo_cli.entries:add_invalidate"),
    Command("watch", "print values as they change, with what is new", "relevo_cli.watch:add"),
    Command("explain", "say where each value of a context came from", "relevo_cli.explain:add"),
    Command("validate", "say where a context breaks a model or a schema",
            "relevo_cli.validate:add"),
    Command("ls", "list the keys of a tenant", "relevo_cli.ls:add"),
    Command("changes", "print what was written, and follow it", "relevo_cli.changes:add"),
    Command("status", "print the state of a server and its store", "relevo_cli.status:add"),
    Command("clients", "print who watches through a server", "relevo_cli.clients:add"),
    Command("tenants", "print who uses a server most", "relevo_cli.usage:add_tenants"),
    Command("usage", "print what a tenant uses", "relevo_cli.usage:add_usage"),
    Command("top", "show who watches, live", "relevo_cli.top:add"),
    Command("console", "serve pages that show a store", "relevo_cli.console:add", "console"),
    Command("tenant", "make all data of a tenant unreadable", "relevo_cli.tenant:add"),
    Command("encryption", "wrap the keys of tenants by a new key", "relevo_cli.encryption:add"),
    Command("probe", "check what near caches and the store promise, live",
            "relevo_cli.probe:add"),
    Command("plan", "calculate what a platform needs, and which limit comes first",
            "relevo_cli.plan:add"),
    Command("completion", "print a script that completes `relevo` in a shell",
            "relevo_cli.completion:add", "cli"),
    Command("demo", "watch a chain of four services work with one context", "relevo_cli.demo:add"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    The code is 0 for success; 1 if something failed; 2 if the command line or the settings
    are wrong, or an extra is not installed; 3 if there is no such entry; 130 if it was
    interrupted.
    """
    options, unknown = parser().parse_known_args(arguments)
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


def parser(*, is_complete: bool = False) -> argparse.ArgumentParser:
    """The parser of `relevo`. Each command's own parser is completed when it is used.

    With `is_complete`, all commands that are installed are completed now.
    """
    top = argparse.ArgumentParser(
        prog="relevo",
        description="A store of execution contexts, and its tools.",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=20),
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.summary, command=command)
        if is_complete:
            with suppress(MissingExtraError):
                added.complete()
    return top


class _Version(argparse.Action):
    """Prints the version. It is looked up only on demand: a plain checkout has none."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, rarely needed

        print(f"relevo {version('relevo')}")
        parser.exit()


def _unrecognized(arguments: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """The error for unknown arguments. It quotes no values: they may be secrets."""
    names = [each.partition("=")[0] for each in arguments if each.startswith("-")]
    if not names:
        return f"unrecognized arguments: {len(arguments)} more than expected"
    flags = re.findall(r"--[\w.-]+", parser.format_usage())
    return f"unrecognized arguments: {' '.join(names)}{hint(names[0], flags)}"
