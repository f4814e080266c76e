"""Lease and Release: the right to write an entry."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from relevo.v1.store_pb2 import LeaseRequest, ReleaseRequest

from relevo_server.errors import Violation
from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.roles import READ, WRITE
from relevo_server.wire.contexts import key_of, key_problems
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.get import Get, current_of
from relevo_server.wire.requests.rules import (
    Rights,
    duration_ms,
    negative_problems,
    refuse,
    request_id_problems,
)

_decode_lease = decoder(LeaseRequest)
_decode_release = decoder(ReleaseRequest)


@hides("request_id")
class Lease(NamedTuple):
    """A checked LeaseRequest."""

    key: Key
    wait: float
    """Seconds to wait while another caller holds the lease, 0 for not at all."""
    renew_version: int
    """The version of the entry that the caller wants to replace, 0 for none."""
    request_id: str
    current: Get | None = None
    """The read of an existing entry with its layers; None for the entry alone."""


@hides("token")
class Release(NamedTuple):
    """A checked ReleaseRequest."""

    key: Key
    token: str


def read_lease(serialized: bytes, rights: Rights) -> Lease:
    """Read a LeaseRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode_lease(serialized)
    key = key_of(request.key)
    rights.require(key.tenant_id, READ, key.scope)  # the answer may be the entry
    rights.require(key.tenant_id, WRITE, key.scope)
    wait_ms = duration_ms(request.wait)
    refuse(
        chain(
            key_problems(key, "key"),
            _wait_problems(wait_ms),
            negative_problems("", renew_version=request.renew_version),
            request_id_problems(request.request_id),
        )
    )
    current = current_of(key, rights) if request.include_layers else None
    return Lease(key, (wait_ms or 0) / 1000, request.renew_version, request.request_id, current)


def read_release(serialized: bytes, rights: Rights) -> Release:
    """Read a ReleaseRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode_release(serialized)
    key = key_of(request.key)
    rights.require(key.tenant_id, WRITE, key.scope)
    refuse(chain(key_problems(key, "key"), _token_problems(request.lease_token)))
    return Release(key, request.lease_token)


def _wait_problems(wait_ms: int | None) -> Iterator[Violation]:
    if wait_ms is None:
        yield "wait", "must be a duration that is not negative"


def _token_problems(token: str) -> Iterator[Violation]:
    if not token:
        yield "lease_token", "must not be empty"
