"""`relevo get`, `put` and `invalidate`."""

import argparse
import math
import sys
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from relevo.v1 import store_pb2
from relevo_server.revisions import MAX_REVISION

from relevo_cli import connection, keys, numbers, output, shown, terminal
from relevo_cli.connection import Connection, connected
from relevo_cli.documents import of_message, read_context
from relevo_cli.failures import OK, UsageError, reported
from relevo_cli.tables import pairs

Operation = Callable[[Connection, argparse.Namespace], Message]


def add_get(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo get KEY`."""
    parser.add_argument("entry", type=keys.key, metavar="KEY", help=keys.HELP)
    parser.add_argument("--layers", action="store_true", help="print the included entries too")
    _add(parser, _get)


def add_put(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo put KEY [FILE]`."""
    parser.add_argument("entry", type=keys.key, metavar="KEY", help=keys.HELP)
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="the context as a JSON object (default: -, standard input)",
    )
    parser.add_argument(
        "--ttl", type=numbers.seconds, metavar="SECONDS", help="how long the entry lives"
    )
    parser.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="PATH",
        help="write this part only, for example llm_config.model; can be repeated",
    )
    condition = parser.add_mutually_exclusive_group()
    condition.add_argument(
        "--if-version",
        type=numbers.whole(1, MAX_REVISION),
        metavar="VERSION",
        help="only over this one",
    )
    condition.add_argument("--if-absent", action="store_true", help="only if there is no entry")
    _add(parser, _put)


def add_invalidate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo invalidate KEY...` and `relevo invalidate --tenant TENANT`."""
    parser.add_argument(
        "entries", nargs="*", type=keys.key_without_stars, metavar="KEY", help=keys.HELP
    )
    parser.add_argument("--tenant", help="end all entries of this tenant")
    parser.add_argument("--scope", default="", help="with --tenant: only those of this scope")
    _add(parser, _invalidate)


def _add(parser: argparse.ArgumentParser, operation: Operation) -> None:
    output.add_option(parser, "json")
    connection.add_options(parser)
    parser.set_defaults(run=partial(_run, operation))


@reported
def _run(operation: Operation, options: argparse.Namespace) -> int:
    with connected(options) as server:
        answer = operation(server, options)
    output.print_answer(options, of_message(answer), _lines(answer, terminal.width()))
    return OK


def _get(server: Connection, options: argparse.Namespace) -> store_pb2.GetResponse:
    request = store_pb2.GetRequest(key=keys.message(options.entry), include_layers=options.layers)
    return server.call(server.store.Get, request)


def _put(server: Connection, options: argparse.Namespace) -> store_pb2.PutResponse:
    request = store_pb2.PutRequest(
        key=keys.message(options.entry), update_mask=FieldMask(paths=options.mask)
    )
    text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text("utf-8")
    read_context(text, request)
    if options.ttl is not None:
        request.ttl.FromMilliseconds(math.ceil(options.ttl * 1000))
    if options.if_version is not None:
        request.if_version = options.if_version
    elif options.if_absent:
        request.if_absent = True
    return server.call(server.store.Put, request)


def _invalidate(server: Connection, options: argparse.Namespace) -> store_pb2.InvalidateResponse:
    if bool(options.entries) == bool(options.tenant):
        raise UsageError("give either keys or --tenant")
    if options.scope and not options.tenant:
        raise UsageError("--scope goes with --tenant")
    _refuse_stars(options)
    request = store_pb2.InvalidateRequest(request_id=uuid.uuid4().hex)
    if options.tenant:
        request.tenant.tenant_id = options.tenant
        request.tenant.scope = options.scope
    else:
        request.keys.keys.extend(map(keys.message, options.entries))
    return server.call(server.store.Invalidate, request)


def _refuse_stars(options: argparse.Namespace) -> None:
    """Raise UsageError for a `*`: a principal's means all, here it would be a tenant's name."""
    if options.tenant == "*":
        raise UsageError("--tenant: * does not mean all tenants; name each of them")
    if options.scope == "*":
        raise UsageError("--scope: * does not mean all scopes; leave --scope out for that")


def _lines(answer: Message, width: int | None) -> list[str]:
    match answer:
        case store_pb2.GetResponse():
            lines = shown.entry(answer.entry, width)
            for layer in answer.layers:
                lines += ["", *shown.entry(layer, width)]
            return lines
        case store_pb2.PutResponse():
            return shown.entry(answer.entry, width)
        case _:
            fields = answer.ListFields()
            return pairs([(field.name, str(value)) for field, value in fields], width)
