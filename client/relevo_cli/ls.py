"""`relevo ls`: lists the keys of a tenant."""

import argparse
from collections.abc import Iterator

from relevo.admin.v1 import admin_pb2
from relevo_look import units

from relevo_cli import connection, keys, output, terminal
from relevo_cli.connection import Connection, connected
from relevo_cli.documents import of_message
from relevo_cli.failures import OK, reported
from relevo_cli.tables import Column, table

_COLUMNS = (
    Column("KEY"),
    Column("VERSION", is_number=True),
    Column("EXPIRES IN", is_number=True),
    Column("SIZE", is_number=True),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo ls TENANT`."""
    parser.description = (
        "List the live keys of a tenant. JSON is one object a line, as the keys are found. "
        "The database is searched for them, which takes a while if it is large."
    )
    parser.add_argument("tenant", metavar="TENANT", help="the tenant, not encoded")
    parser.add_argument("--scope", default="", help="only keys of this scope")
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    with connected(options) as server:
        found = _keys(server, options.tenant, options.scope)
        if options.output == "json":
            for each in found:
                output.print_item(of_message(each, is_complete=True))
        else:
            rows = sorted(_row(each) for each in found)
            output.print_lines(table(_COLUMNS, rows, terminal.width()))
    return OK


def _keys(server: Connection, tenant: str, scope: str) -> Iterator[admin_pb2.KeyInfo]:
    """The keys of all pages, each once: a page may repeat a key while the database grows."""
    request = admin_pb2.ListKeysRequest(tenant_id=tenant, scope=scope)
    seen: set[str] = set()
    for page in server.pages(server.admin.ListKeys, request):
        for each in page.keys:
            text = keys.text(each.key)
            if text not in seen:
                seen.add(text)
                yield each


def _row(info: admin_pb2.KeyInfo) -> list[str]:
    ttl = units.of_message(info.ttl)
    return [keys.text(info.key), str(info.version), ttl, units.size(info.size_bytes)]
