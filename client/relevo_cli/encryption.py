"""`relevo encryption rewrap`: wraps the data keys of all tenants by the key ring's primary key."""

import argparse
from collections import Counter

from relevo.admin.v1 import admin_pb2

from relevo_cli import connection, output, terminal
from relevo_cli.connection import connected
from relevo_cli.documents import Json
from relevo_cli.failures import OK, reported
from relevo_cli.tables import pairs


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo encryption rewrap`."""
    parser.description = "Work on the keys that encrypt values."
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    rewrap = commands.add_parser("rewrap", help="wrap the data keys of all tenants anew")
    rewrap.description = (
        "Wrap the data keys of all tenants by the primary key of the server's key ring. After "
        "that the other keys are no longer needed. No value is written."
    )
    output.add_option(rewrap, "table")
    connection.add_options(rewrap)
    rewrap.set_defaults(run=_rewrap, parser=rewrap)


@reported
def _rewrap(options: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    primary: set[str] = set()
    with connected(options) as server:
        status = server.call(server.admin.GetStatus, admin_pb2.GetStatusRequest())
        for partition in range(status.store.partitions):
            request = admin_pb2.RewrapKeysRequest(partition=partition)
            answer = server.call(server.admin.RewrapKeys, request)
            primary.add(answer.primary_key)
            counts.update(keys=answer.key_count, rewrapped=answer.rewrapped_count)
    document: dict[str, Json] = {
        "primary_key": ", ".join(sorted(primary)),
        "key_count": counts["keys"],
        "rewrapped_count": counts["rewrapped"],
    }
    lines = pairs([(name, str(value)) for name, value in document.items()], terminal.width())
    output.print_answer(options, document, lines)
    return OK
