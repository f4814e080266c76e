"""`relevo clients`: the clients that watch through a server."""

import argparse
from collections.abc import Iterable, Iterator
from datetime import UTC

from relevo.admin.v1 import admin_pb2
from relevo_look import units

from relevo_cli import connection, output, terminal
from relevo_cli.connection import Connection, connected
from relevo_cli.documents import Json, of_message
from relevo_cli.failures import OK, reported
from relevo_cli.tables import Column, table

COLUMNS = (
    Column("SERVICE"),
    Column("VERSION"),
    Column("HOST"),
    Column("PID", is_number=True),
    Column("PEER"),
    Column("CONNECTED", is_number=True),
    Column("KEYS", is_number=True),
    Column("OUTBOX", is_number=True),
    Column("LAG", is_number=True),
    Column("RESETS", is_number=True),
    Column("CACHED", is_number=True),
    Column("CACHE", is_number=True),
    Column("HITS", is_number=True),
    Column("HIT RATIO", is_number=True),
    Column("STALENESS", is_number=True),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo clients`."""
    parser.description = (
        "Print the clients whose near caches are kept current by this server, and what they last "
        "reported. What a client says of itself is not verified."
    )
    parser.add_argument("--service", default="", help="only clients of this service")
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    with connected(options) as server:
        found = list(connected_clients(server, options.service))
    documents: list[Json] = [of_message(each, is_complete=True) for each in found]
    output.print_answer(options, {"clients": documents}, lines(found))
    return OK


def connected_clients(server: Connection, service: str = "") -> Iterator[admin_pb2.ConnectedClient]:
    """The clients of all pages."""
    request = admin_pb2.ListClientsRequest(service_name=service)
    for page in server.pages(server.admin.ListClients, request):
        yield from page.clients


def lines(clients: Iterable[admin_pb2.ConnectedClient]) -> list[str]:
    """The table of clients."""
    return table(COLUMNS, [row(each) for each in clients], terminal.width())


def row(client: admin_pb2.ConnectedClient) -> list[str]:
    """The cells of a client. What it has not reported is `-`."""
    who, cache = client.client, client.cache
    age = units.now() - client.connect_time.ToDatetime(UTC)
    known = client.HasField("cache")
    return [
        who.service_name or "-",
        who.service_version or "-",
        who.host_name or "-",
        str(who.process_id or "-"),
        client.peer,
        units.duration(age.total_seconds()),
        str(client.subscriptions),
        units.size(client.outbox_bytes),
        units.of_message(client.lag),
        str(client.resets),
        str(cache.entries) if known else "-",
        units.size(cache.bytes) if known else "-",
        str(cache.hits) if known else "-",
        units.percent(cache.hits, cache.hits + cache.misses),
        units.of_message(cache.staleness) if cache.HasField("staleness") else "-",
    ]
