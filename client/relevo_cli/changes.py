"""`relevo changes`: prints what was written to a tenant or a key, and goes on as it is written."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from functools import partial
from typing import Any

import grpc
from relevo.admin.v1 import admin_pb2
from relevo_look import units
from relevo_server.keys import Key
from relevo_server.revisions import MAX_REVISION

from relevo_cli import changed, connection, keys, numbers, output, terminal
from relevo_cli.connection import Connection, connected
from relevo_cli.documents import of_message
from relevo_cli.failures import OK, UsageError, explain, reported

_TITLES = ("TIME", "REVISION", "WHAT", "BY", "ENTRY", "PARTS")
_WIDTHS = (29, 19, 10, 12, 32, 0)
_MOST = 10_000
"""The most changes before those to follow that a server returns."""
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL}
"""Statuses with which a stream that is followed may break and begin again."""
_PAUSES = (0.1, 0.5, 1.0, 2.0)
"""Seconds before each attempt to follow again; the last one is repeated."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo changes TENANT|KEY`."""
    parser.description = (
        "Print the changes of a tenant or a key, oldest first, as far back as the store's log "
        "reaches: what was written, by whom, and which parts. JSON is one object a line."
    )
    of = parser.add_mutually_exclusive_group(required=True)
    of.add_argument(
        "what", nargs="?", metavar="TENANT|KEY", help=f"a tenant, or a key: {keys.HELP}"
    )
    of.add_argument("--tenant", help="a tenant whose name has a colon")
    parser.add_argument("--scope", default="", help="of a tenant: only changes of this scope")
    parser.add_argument("--follow", "-f", action="store_true", help="go on until Ctrl-C")
    parser.add_argument(
        "--after",
        type=numbers.whole(0, MAX_REVISION),
        default=0,
        metavar="REVISION",
        help="only later changes",
    )
    parser.add_argument(
        "--limit",
        type=numbers.whole(1, _MOST),
        default=0,
        metavar="N",
        help=f"the last N changes, 1 to {_MOST} (default: 1000)",
    )
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_run)


@reported
def _run(options: argparse.Namespace) -> int:
    request = _request(options)
    if options.output == "table":
        output.print_lines([terminal.painted(_line(_TITLES), "bold")])
    with connected(options) as server:
        for response in _responses(server, request):
            document = partial(of_message, response, is_complete=True)
            output.print_event(options, document, _lines(response))
    return OK


def _request(options: argparse.Namespace) -> admin_pb2.ChangesRequest:
    request = admin_pb2.ChangesRequest(
        after_revision=options.after, limit=options.limit, follow=options.follow
    )
    if options.what and ":" in options.what:
        if options.scope:
            raise UsageError("--scope goes with a tenant, not with a key")
        request.key.CopyFrom(keys.message(_key(options.what)))
    else:
        request.tenant.tenant_id = options.what or options.tenant
        request.tenant.scope = options.scope
    return request


def _key(text: str) -> Key:
    try:
        return Key.parse(text)
    except ValueError as error:
        hint = "a tenant whose name has a colon is given by --tenant"
        raise UsageError(f"TENANT|KEY: {error}; {hint}") from None


def _responses(
    server: Connection, request: admin_pb2.ChangesRequest
) -> Iterator[admin_pb2.ChangesResponse]:
    """The changes. If they are followed and the server goes away, it is asked again."""
    failures = 0
    while True:
        method = server.stream if request.follow else server.call
        try:
            for response in method(server.admin.Changes, request):
                yield response
                failures = 0
                if response.HasField("change"):
                    request.after_revision = response.change.revision
                    request.limit = _MOST  # the user's is for what was before, not for a gap
        except grpc.RpcError as error:
            call: Any = error  # an RpcError is the call too
            if not request.follow or call.code() not in _PASSING:
                raise
            if not failures:
                print(f"relevo: {explain(error)[1]}; trying again", file=sys.stderr)
        if not request.follow:
            return
        time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


def _lines(response: admin_pb2.ChangesResponse) -> Iterator[str]:
    if response.gap:
        yield terminal.painted("earlier changes are no longer known", "yellow")
    change = response.change
    if not response.HasField("change"):
        return
    written = units.time(change.time.ToDatetime(UTC), milliseconds=True)
    parts = ", ".join(change.fields) or "-"
    row = (written, str(change.revision), changed.kind(change), change.principal or "-")
    yield _line((*row, changed.subject(change), parts))


def _line(row: Sequence[str]) -> str:
    """One row. Rows come one by one, so columns have fixed widths, and the widest stand last."""
    cells = zip(map(terminal.printable, row), _WIDTHS, strict=True)
    line = "  ".join(f"{cell:{least}}" for cell, least in cells).rstrip()
    width = terminal.width()
    return line if width is None else terminal.cut(line, width)
