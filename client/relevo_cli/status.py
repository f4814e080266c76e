"""`relevo status`: the state of a server, its store and its partitions."""

import argparse
from datetime import UTC

from relevo.admin.v1 import admin_pb2
from relevo_look import units

from relevo_cli import connection, output, terminal
from relevo_cli.connection import connected
from relevo_cli.documents import Json, of_message
from relevo_cli.failures import FAILED, OK, reported
from relevo_cli.tables import Column, pairs, table

_PARTITIONS = (
    Column("PARTITION", is_number=True),
    Column("REVISION", is_number=True),
    Column("EVENTS", is_number=True),
    Column("FIRST", is_number=True),
    Column("FOLLOWED TO", is_number=True),
    Column("WATCHERS", is_number=True),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo status`."""
    parser.description = "Print the state of a server and of its store."
    parser.add_argument("--partitions", action="store_true", help="print every partition too")
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.epilog = f"{parser.epilog} It fails if the server's store does not answer."
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    partitions = None
    with connected(options) as server:
        status = server.call(server.admin.GetStatus, admin_pb2.GetStatusRequest())
        if options.partitions and status.store.available:
            request = admin_pb2.ListPartitionsRequest()
            partitions = server.call(server.admin.ListPartitions, request).partitions
    document = of_message(status, is_complete=True)
    lines = [*server_lines(status.server), "", *store_lines(status.store)]
    if partitions is not None:
        found: list[Json] = [of_message(each, is_complete=True) for each in partitions]
        document["partitions"] = found
        rows = [_row(each) for each in partitions]
        lines += ["", *table(_PARTITIONS, rows, terminal.width())]
    output.print_answer(options, document, lines)
    return OK if status.store.available else FAILED


def server_lines(server: admin_pb2.ServerStatus) -> list[str]:
    """The state of a server, as lines."""
    return pairs(server_rows(server), terminal.width())


def store_lines(store: admin_pb2.StoreStatus) -> list[str]:
    """The state of a store, as lines."""
    return pairs(store_rows(store), terminal.width())


def server_rows(server: admin_pb2.ServerStatus) -> list[tuple[str, str]]:
    """The state of a server, as names and values."""
    started = server.start_time.ToDatetime(UTC)
    age = (units.now() - started).total_seconds()
    process = f"{server.process_id} on {server.host_name}"
    if server.worker:
        process += f", worker {server.worker} of {server.workers}"
    rows = [
        ("server", f"relevo {server.version}"),
        ("process", process),
        ("started", f"{units.time(started)}, {units.duration(age)} ago"),
        ("calls", str(server.active_calls)),
        ("watchers", f"{server.watchers}, with {server.subscriptions} subscriptions"),
        ("outboxes", units.size(server.outbox_bytes)),
        ("cache", f"{server.cached_entries} entries, {units.size(server.cached_bytes)}"),
    ]
    if server.resident_bytes:
        rows.append(("memory", units.size(server.resident_bytes)))
    return rows


def store_rows(store: admin_pb2.StoreStatus) -> list[tuple[str, str]]:
    """The state of a store, as names and values."""
    rows = [("store", " ".join(filter(None, (store.kind, _in_brackets(store.version)))))]
    if not store.available:
        rows.append(("state", f"does not answer: {store.reason}"))
        return rows
    rows += [
        ("state", f"answers in {units.of_message(store.latency)}"),
        ("partitions", str(store.partitions)),
    ]
    if store.used_bytes:
        limit = f" of {units.size(store.max_bytes)}" if store.max_bytes else ", no limit"
        rows.append(("memory", f"{units.size(store.used_bytes)}{limit}"))
    if store.eviction_policy:
        rows.append(("eviction", store.eviction_policy))
    if store.HasField("clock_offset"):
        rows.append(("clock", f"{units.of_message(store.clock_offset)} ahead of the server's"))
    return rows


def _in_brackets(text: str) -> str:
    return f"({text})" if text else ""


def _row(partition: admin_pb2.Partition) -> list[str]:
    return [
        str(partition.number),
        str(partition.revision),
        str(partition.log_length),
        str(partition.first_revision or "-"),
        str(partition.followed_revision) if partition.followed else "-",
        str(partition.watchers),
    ]
