"""Leases, the right to create an entry: what the store is asked, and what it answers."""

import uuid
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from relevo.v1 import store_pb2

from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey

Lifetime: TypeAlias = timedelta | float | None
"""A time to live, in seconds where it is a number; None for the scope's."""


class Lease(NamedTuple):
    """The right to write an entry."""

    key: ContextKey
    token: str


def lease_request(
    key: ContextKey, *, wait: float, renew_version: int = 0
) -> store_pb2.LeaseRequest:
    """A Lease. `wait` in seconds. It may be sent again: it is the same one then."""
    request = store_pb2.LeaseRequest(
        key=key.to_message(), renew_version=renew_version, request_id=uuid.uuid4().hex
    )
    request.wait.FromTimedelta(timedelta(seconds=wait))
    return request


def leased(key: ContextKey, response: store_pb2.LeaseResponse) -> ContextEntry | Lease:
    """What a Lease answered: the entry, or the right to write it."""
    if response.HasField("entry"):
        return entry_from_message(response.entry, response.revision)
    return Lease(key, response.lease.token)


def release_request(lease: Lease) -> store_pb2.ReleaseRequest:
    """A Release."""
    return store_pb2.ReleaseRequest(key=lease.key.to_message(), lease_token=lease.token)
