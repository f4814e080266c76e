"""`relevo top`: the clients of a server, live, in the order that a key press chooses."""

import argparse

from relevo.admin.v1 import admin_pb2
from relevo_server.cli.extras import needing

from relevo_cli import connection, numbers, output
from relevo_cli.clients import connected_clients, lines
from relevo_cli.connection import connected
from relevo_cli.failures import OK, reported
from relevo_cli.ranking import BY_NAME, ORDERS, ranked


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo top`."""
    parser.description = (
        "Show the clients that watch through a server, as `relevo clients` does, again and again. "
        "A key chooses the order: "
        + ", ".join(f"{order.key} {order.title}" for order in ORDERS)
        + ". q ends it."
    )
    parser.add_argument("--once", action="store_true", help="print one table and end")
    parser.add_argument(
        "--sort", choices=list(BY_NAME), default=ORDERS[0].name, help="default: %(default)s"
    )
    parser.add_argument(
        "--interval",
        type=numbers.seconds,
        default=2.0,
        metavar="SECONDS",
        help="default: %(default)s",
    )
    connection.add_options(parser)
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    with connected(options) as server:
        if options.once:
            found = ranked(connected_clients(server), BY_NAME[options.sort])
            output.print_lines(lines(found))
            return OK
        with needing("cli"):
            from relevo_cli.screen import Screen  # noqa: PLC0415 - needs Textual

        def ask() -> list[admin_pb2.ConnectedClient]:
            return list(connected_clients(server))

        ask()  # what cannot be had at all is said without a screen
        Screen(ask, BY_NAME[options.sort], options.interval).run()
    return OK
