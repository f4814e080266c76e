"""The connected clients: the words and the order are those of `relevo clients`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relevo.admin.v1.admin_pb2 import ConnectedClient
from relevo_cli import clients
from relevo_cli.ranking import BY_NAME, ORDERS, ranked
from relevo_look import units

PAGE = 100
"""The clients on one page."""
HEADS = tuple(
    (column.title.capitalize(), "number" if column.is_number else "") for column in clients.COLUMNS
)
"""The titles of a table, and the kinds of its columns."""
SORTS = tuple((order.name, order.title) for order in ORDERS)
_SILENT = 30.0
"""Seconds without a report after which a client's figures are old. Clients report every 10."""


@dataclass(frozen=True)
class Row:
    """One client."""

    cells: Sequence[str]
    is_old: bool
    """Whether its last report on its cache came long ago."""


@dataclass(frozen=True)
class Page:
    """One page of the clients in an order."""

    rows: Sequence[Row]
    found: int
    """The clients that the filter selects."""
    total: int
    services: Sequence[str]
    """The names of all services, for the filter."""
    number: int
    """The page's number, from 1."""
    pages: int
    summary: str
    """All selected clients together."""


def page(
    connected: Sequence[ConnectedClient], *, sort: str, service: str, number: int, now: datetime
) -> Page:
    """A page of the clients. An unknown order is the first one."""
    chosen = [each for each in connected if service in ("", each.client.service_name)]
    order = ranked(chosen, BY_NAME.get(sort, ORDERS[0]))
    pages = max(1, -(-len(order) // PAGE))
    number = min(max(number, 1), pages)
    rows = [_row(each, now) for each in order[(number - 1) * PAGE : number * PAGE]]
    services = sorted({each.client.service_name for each in connected} - {""})
    return Page(rows, len(chosen), len(connected), services, number, pages, _summary(chosen))


def _row(client: ConnectedClient, now: datetime) -> Row:
    is_old = False
    if client.HasField("report_time"):
        is_old = (now - client.report_time.ToDatetime(UTC)).total_seconds() > _SILENT
    return Row(clients.row(client), is_old)


def _summary(chosen: Sequence[ConnectedClient]) -> str:
    hits = sum(each.cache.hits for each in chosen)
    misses = sum(each.cache.misses for each in chosen)
    entries = sum(each.cache.entries for each in chosen)
    return (
        f"{entries:,} cached entries; {units.percent(hits, hits + misses)} of "
        f"{hits + misses:,} lookups answered from near caches"
    )
