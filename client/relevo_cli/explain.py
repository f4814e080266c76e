"""`relevo explain`: says which entry and version each value of a context came from."""

import argparse
from collections.abc import Iterator

from relevo.admin.v1 import admin_pb2
from relevo_look import units

from relevo_cli import connection, keys, output, terminal, values
from relevo_cli.connection import connected
from relevo_cli.documents import of_message
from relevo_cli.explained import explained_values
from relevo_cli.failures import OK, reported
from relevo_cli.tables import Column, table

_ENTRIES = (
    Column("#", is_number=True),
    Column("ENTRY"),
    Column("VERSION", is_number=True),
    Column("EXPIRES IN", is_number=True),
)
_VALUES = (Column("PATH"), Column("VALUE"), Column("FROM"))


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo explain KEY`."""
    parser.description = (
        "Print the composed context of a key, with the entry that each value came from. Of a "
        "reference, key@revision, it is as of that revision or later."
    )
    parser.add_argument(
        "reference", type=keys.reference, metavar="KEY|REFERENCE", help=keys.REFERENCE_HELP
    )
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    key, revision = options.reference
    request = admin_pb2.ExplainRequest(key=keys.message(key), min_revision=revision)
    with connected(options) as server:
        explained = server.call(server.admin.Explain, request)
    document = of_message(explained, is_complete=True)
    output.print_answer(options, document, _lines(explained, terminal.width()))
    return OK


def _lines(explained: admin_pb2.ExplainResponse, width: int | None) -> Iterator[str]:
    names = [keys.text(entry.key) for entry in explained.entries]
    entries = [
        [str(number), name, str(entry.version), units.of_message(entry.ttl)]
        for number, (name, entry) in enumerate(zip(names, explained.entries, strict=True))
    ]
    yield from table(_ENTRIES, entries, width)
    for missing in explained.missing:
        yield terminal.painted(f"missing: {keys.text(missing)}", "red")
    yield ""
    rows = [
        [each.path, values.text(each.value), _source(each.entry, names)]
        for each in explained_values(explained)
    ]
    yield from table(_VALUES, rows, width)


def _source(entry: int | None, names: list[str]) -> str:
    return "-" if entry is None else f"{entry} {names[entry]}"
