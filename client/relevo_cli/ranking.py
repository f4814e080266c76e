"""The orders of `relevo top`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from relevo.admin.v1.admin_pb2 import ConnectedClient


@dataclass(frozen=True)
class Order:
    """One order of clients, the greatest in front."""

    key: str
    """The key that chooses it."""
    name: str
    title: str
    value: Callable[[ConnectedClient], float]


ORDERS = (
    Order("l", "lag", "by lag", lambda client: client.lag.ToNanoseconds()),
    Order("o", "outbox", "by outbox", lambda client: client.outbox_bytes),
    Order("k", "keys", "by keys", lambda client: client.subscriptions),
    Order("h", "hits", "by hits", lambda client: client.cache.hits),
    Order("m", "misses", "by misses", lambda client: client.cache.misses),
    Order("b", "bytes", "by cache", lambda client: client.cache.bytes),
    Order("s", "staleness", "by staleness", lambda client: client.cache.staleness.ToNanoseconds()),
    Order("r", "resets", "by resets", lambda client: client.resets),
)
BY_NAME = {order.name: order for order in ORDERS}


def ranked(clients: Iterable[ConnectedClient], order: Order) -> list[ConnectedClient]:
    """The clients in this order; those with equal values as they connected."""
    return sorted(clients, key=order.value, reverse=True)
