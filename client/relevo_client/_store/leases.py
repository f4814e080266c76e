"""Requests for leases (the right to create an entry), and their responses."""

import uuid
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from relevo.v1 import store_pb2

from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry
from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextKey

Lifetime: TypeAlias = timedelta | float | None
"""A time to live: a timedelta, or a number of seconds; None for the default of the scope."""


@hides("token")
class Lease(NamedTuple):
    """The right to create an entry, given to one caller at a time."""

    key: ContextKey
    token: str


def lease_request(
    key: ContextKey, *, wait: float, renew_version: int = 0
) -> store_pb2.LeaseRequest:
    """A Lease request; it may be sent again, and then returns the same lease.

    `wait` is how long the store may wait while another caller holds the lease, in seconds.
    `renew_version` is the version of a live entry to be renewed before it expires, 0 for none.
    """
    request = store_pb2.LeaseRequest(
        key=key.to_message(), renew_version=renew_version, request_id=uuid.uuid4().hex
    )
    request.wait.FromTimedelta(timedelta(seconds=wait))
    return request


def leased(key: ContextKey, response: store_pb2.LeaseResponse) -> ContextEntry | Lease:
    """The result of a Lease: the entry if it exists, else the lease to create it."""
    if response.HasField("entry"):
        return entry_from_message(response.entry, response.revision)
    return Lease(key, response.lease.token)


def release_request(lease: Lease) -> store_pb2.ReleaseRequest:
    """A Release request, which ends the lease."""
    return store_pb2.ReleaseRequest(key=lease.key.to_message(), lease_token=lease.token)
