"""`relevo check`: says what is wrong with a server's settings, its Redis and this host.

With `--serving` it asks the running server instead, often, so the rest is loaded only if needed.
"""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from relevo_server.cli import serve

from relevo_cli import output, terminal
from relevo_cli.documents import Json
from relevo_cli.failures import FAILED, OK
from relevo_cli.tables import Column, table
from relevo_cli.terminal import Colour

if TYPE_CHECKING:
    from relevo_server.findings import Finding, Level

_COLUMNS = (Column("CHECK"), Column("RESULT"), Column("FOUND"))
_COLOURS: "dict[Level, Colour]" = {"warning": "yellow", "wrong": "red"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo check`: those of `relevo serve`, and those of its own."""
    serve.add_settings(parser, _run)
    parser.description = (
        "Check the settings that `relevo serve` would have with the same flags, environment and "
        "file, and what it needs: files, the keys of issuers, Redis, the rights of its user (each "
        "command is tried on a key of its own), eviction policy, versions and clocks. Run it where "
        "the server runs."
    )
    parser.epilog = "Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage."
    parser.add_argument(
        "--serving",
        nargs="?",
        const="readiness",
        choices=("liveness", "readiness"),
        help="ask the server that runs with these settings on this host for its health, and check "
        "nothing else; readiness (the default) follows the store, liveness does not",
    )
    output.add_option(parser, "table")


def _run(source: serve.Flags, options: argparse.Namespace) -> int:
    found = list(_findings(source, options))
    documents: list[Json] = [each._asdict() for each in found]
    output.print_answer(options, {"findings": documents}, _lines(found))
    return FAILED if any(each.level == "wrong" for each in found) else OK


def _findings(source: serve.Flags, options: argparse.Namespace) -> "Iterator[Finding]":
    if options.serving:
        from relevo_cli import serving  # noqa: PLC0415 - see above

        return serving.findings(source, options)
    from relevo_cli import surroundings  # noqa: PLC0415 - see above

    return surroundings.findings(source, options)


def _lines(findings: "list[Finding]") -> Iterator[str]:
    rows = [[each.check, each.level, each.text] for each in findings]
    head, *lines = table(_COLUMNS, rows, None)
    yield head
    for line, each in zip(lines, findings, strict=True):
        colour = _COLOURS.get(each.level)
        yield terminal.painted(line, colour) if colour else line
        if each.advice:
            yield f"  → {terminal.printable(each.advice)}"
