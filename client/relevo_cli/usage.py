"""`relevo tenants` and `relevo usage`: who uses a store, and how much."""

import argparse
from collections.abc import Sequence

from relevo.admin.v1 import admin_pb2
from relevo_look import units

from relevo_cli import connection, numbers, output, terminal
from relevo_cli.connection import connected
from relevo_cli.documents import of_message
from relevo_cli.failures import OK, reported
from relevo_cli.tables import Column, table

_ORDERS = {
    "calls": admin_pb2.TOP_ORDER_CALLS,
    "bytes": admin_pb2.TOP_ORDER_BYTES,
    "misses": admin_pb2.TOP_ORDER_MISSES,
}
_MOST = 100
"""The most tenants that a server returns."""
_ACTIVITY = (
    Column("CALLS", is_number=True),
    Column("BYTES", is_number=True),
    Column("MISSES", is_number=True),
)
_STORED = (
    Column("SCOPE"),
    Column("ENTRIES", is_number=True),
    Column("SIZE", is_number=True),
)

_QUOTAS = (
    Column("QUOTA"),
    Column("USED", is_number=True),
    Column("LIMIT", is_number=True),
)


def add_tenants(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo tenants`."""
    parser.description = (
        "Print the tenants that use this server most, since it started. With very many tenants, "
        "counts of rare ones may be too high; the last line says by how much."
    )
    parser.add_argument("--by", choices=_ORDERS, default="calls", help="the order (default: calls)")
    parser.add_argument(
        "--limit",
        type=numbers.whole(1, _MOST),
        default=10,
        metavar="N",
        help=f"how many, 1 to {_MOST} (default: %(default)s)",
    )
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_tenants)


def add_usage(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo usage TENANT`."""
    parser.description = (
        "Print what a tenant has stored, by scope, what this server did for it since it "
        "started, and how much of its quotas it uses. The database is searched, which takes a "
        "while if it is large."
    )
    parser.add_argument("tenant", metavar="TENANT", help="the tenant, not encoded")
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_usage)


@reported
def _tenants(options: argparse.Namespace) -> int:
    request = admin_pb2.ListTopTenantsRequest(order_by=_ORDERS[options.by], page_size=options.limit)
    with connected(options) as server:
        found = server.call(server.admin.ListTopTenants, request)
    rows = [[each.tenant_id, *_counts(each)] for each in found.tenants]
    lines = table([Column("TENANT"), *_ACTIVITY], rows, terminal.width())
    if found.error:
        lines.append(f"counts may be too high by up to {found.error}")
    output.print_answer(options, of_message(found, is_complete=True), lines)
    return OK


@reported
def _usage(options: argparse.Namespace) -> int:
    request = admin_pb2.GetUsageRequest(tenant_id=options.tenant)
    with connected(options) as server:
        found = server.call(server.admin.GetUsage, request)
    rows = [[each.scope, str(each.entries), units.size(each.bytes)] for each in found.scopes]
    stored = table(_STORED, rows, terminal.width())
    activity = table(_ACTIVITY, [_counts(found.activity)], terminal.width())
    lines = [*stored, "", *activity]
    if found.quotas:  # a server before this list has none
        lines += ["", *table(_QUOTAS, [_quota(each) for each in found.quotas], terminal.width())]
    output.print_answer(options, of_message(found, is_complete=True), lines)
    return OK


def _counts(activity: admin_pb2.TenantActivity) -> Sequence[str]:
    return [str(activity.calls), units.size(activity.bytes), str(activity.misses)]


def _quota(usage: admin_pb2.QuotaUsage) -> Sequence[str]:
    shown = units.size if usage.quota == "bytes" else str
    return [usage.quota, shown(usage.used), shown(usage.limit) if usage.HasField("limit") else "-"]
