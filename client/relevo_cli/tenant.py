"""`relevo tenant shred`: makes a tenant's data unreadable."""

import argparse
import sys

from relevo.admin.v1 import admin_pb2

from relevo_cli import connection, output, terminal
from relevo_cli.connection import connected
from relevo_cli.documents import of_message
from relevo_cli.failures import OK, UsageError, reported
from relevo_cli.tables import pairs

_PLAIN = (
    "the tenant had no data key: what it had was not encrypted, and backups of Redis may still "
    "have it"
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo tenant shred TENANT`."""
    parser.description = "Work on all data of one tenant."
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    shred = commands.add_parser("shred", help="make all data of a tenant unreadable, for ever")
    shred.description = (
        "End all entries of a tenant, and delete the key that encrypts them. Nobody can read "
        "them afterwards: not from Redis, its replicas and backups, nor from caches. The "
        "tenant can be used again at once."
    )
    shred.add_argument("tenant", metavar="TENANT", help="the tenant, not encoded")
    shred.add_argument("--yes", action="store_true", help="do not ask")
    output.add_option(shred, "table")
    connection.add_options(shred)
    shred.set_defaults(run=_shred, parser=shred)


@reported
def _shred(options: argparse.Namespace) -> int:
    if options.tenant == "*":
        raise UsageError("TENANT: * does not mean all tenants; name each of them")
    if not options.yes:
        _ask(options.tenant)
    request = admin_pb2.ShredTenantRequest(tenant_id=options.tenant)
    with connected(options) as server:
        answer = server.call(server.admin.ShredTenant, request)
    document = of_message(answer, is_complete=True)
    lines = pairs([(name, str(value)) for name, value in document.items()], terminal.width())
    if not answer.key_deleted:
        lines.append(_PLAIN)
    output.print_answer(options, document, lines)
    return OK


def _ask(tenant: str) -> None:
    """Ask for the tenant's name. Raises UsageError if the answer is another one."""
    if not sys.stdin.isatty():
        raise UsageError("this cannot be undone: give --yes")
    print(
        f"This makes all data of {terminal.printable(tenant)} unreadable, for ever. "
        "Type the tenant's name to go on: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().rstrip("\n") != tenant:
        raise UsageError("another name was typed: nothing was done")
