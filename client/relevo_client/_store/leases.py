"""Requests for leases (the right to create an entry), and their responses."""

import uuid
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from relevo.v1 import store_pb2

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
    key: ContextKey, *, wait: float, renew_version: int = 0, layers: bool = False
) -> store_pb2.LeaseRequest:
    """A Lease request; it may be sent again, and then returns the same lease.

    `wait` is how long the store may wait while another caller holds the lease, in seconds.
    `renew_version` is the version of a live entry to be renewed before it expires, 0 for none.
    With `layers`, the response has an existing entry with what it includes.
    """
    request = store_pb2.LeaseRequest(
        key=key.to_message(),
        renew_version=renew_version,
        request_id=uuid.uuid4().hex,
        include_layers=layers,
    )
    request.wait.FromTimedelta(timedelta(seconds=wait))
    return request


def lease_in(key: ContextKey, response: store_pb2.LeaseResponse) -> Lease | None:
    """The lease in the response to a Lease, or None if the entry exists."""
    return Lease(key, response.lease.token) if response.HasField("lease") else None


def release_request(lease: Lease) -> store_pb2.ReleaseRequest:
    """A Release request, which ends the lease."""
    return store_pb2.ReleaseRequest(key=lease.key.to_message(), lease_token=lease.token)
