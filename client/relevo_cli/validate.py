"""`relevo validate`: says where a context breaks a model or a JSON Schema."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from relevo.v1 import store_pb2
from relevo_client import (
    ContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
)

from relevo_cli import connection, keys, output, schemas, terminal
from relevo_cli.documents import Json, of_message, read_context
from relevo_cli.failures import FAILED, NO_ENTRY, OK, USAGE, UsageError, fail, reported
from relevo_cli.schemas import Problem
from relevo_cli.tables import Column, table

_COLUMNS = (Column("PATH"), Column("PROBLEM"), Column("FROM"))


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo validate`."""
    parser.description = (
        "Validate the composed context of a key, as services see it, or a file before it is put. "
        "A model validates one section: the one that is named, else the one that "
        "relevo_client.settings reads. A JSON Schema validates the whole context, or the section "
        "that is named. No value is printed."
    )
    parser.add_argument(
        "reference",
        nargs="?",
        type=keys.reference,
        metavar="KEY|REFERENCE",
        help=keys.REFERENCE_HELP,
    )
    parser.add_argument(
        "--file", metavar="FILE", help="validate this context instead, as `relevo put` takes it"
    )
    parser.add_argument(
        "--schema", action="append", required=True, metavar="SCHEMA", help=schemas.HELP
    )
    parser.add_argument(
        "--own",
        action="store_true",
        help="without what the entry includes: as the server's `schemas` see it",
    )
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.epilog = (
        "Exit codes: 0 valid, 1 not valid or failed, 2 wrong usage or a malformed field, 3 no such "
        "entry. RELEVO_TOKEN is sent as the bearer token."
    )
    parser.set_defaults(run=_run)


class _Subject(NamedTuple):
    """A context to validate."""

    context: ExecutionContext
    names: dict[str, Json]
    """The entries of the answer that identify the context: its key and version, or its file."""


@reported
def _run(options: argparse.Namespace) -> int:
    checks = [schemas.check(text) for text in options.schema]
    try:
        subject = _subject(options)
    except NotFoundError as error:
        return fail(NO_ENTRY, f"{error.reason}: {error}")
    except InvalidFieldError as error:
        return fail(USAGE, str(error))
    except RelevoError as error:
        return fail(FAILED, f"{error.reason}: {error}")
    problems = [problem for check in checks for problem in check.problems(subject.context)]
    document: dict[str, Json] = {
        **subject.names,
        "valid": not problems,
        "problems": [problem.document for problem in problems],
    }
    output.print_answer(options, document, _lines(problems, terminal.width()))
    return FAILED if problems else OK


def _subject(options: argparse.Namespace) -> _Subject:
    """The context to validate. Raises UsageError, RelevoError, and OSError for a file."""
    if (options.file is None) == (options.reference is None):
        raise UsageError("give either a key or --file")
    if options.file:
        if options.own:
            raise UsageError("--own goes with a key")
        return _Subject(_context_in(options.file), {"file": options.file})
    (scope, tenant_id, name), revision = options.reference
    ref = ContextRef(ContextKey(scope, tenant_id, name), revision)
    target = connection.target_of(options)
    arguments = connection.client_arguments(options, target)
    with ContextClient(target, timeout=options.timeout, cache=None, **arguments) as client:
        own = options.own
        entry = client.get(ref.key, min_revision=revision) if own else client.resolve(ref)
    return _Subject(entry.context, {"key": entry.key.text, "version": str(entry.version)})


def _context_in(file: str) -> ExecutionContext:
    text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    request = store_pb2.PutRequest()
    read_context(text, request)
    fields: dict[str, Any] = {**of_message(request.context)}
    for name in ("create_time", "update_time", "composed_from"):
        fields.pop(name, None)
    fields["includes"] = [ContextKey.from_message(key) for key in request.context.includes]
    return ExecutionContext.model_validate(fields)


def _lines(problems: Sequence[Problem], width: int | None) -> Iterator[str]:
    if not problems:
        yield "valid"
        return
    rows = [[each.path, each.description, " or ".join(each.entries)] for each in problems]
    yield from table(_COLUMNS, rows, width)
