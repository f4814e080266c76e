"""Creating entries under a lease: what is asked, what is answered, and for which scopes.

Blocking and asyncio clients share this; only the sending and the waiting is their own.
"""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from relevo.v1 import store_pb2

from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    RETRY_DELAY,
    IncompleteContextError,
    InvalidFieldError,
    LeaseLostError,
    NotFoundError,
    RelevoError,
    UnavailableError,
)
from relevo_client._context.keys import ContextKey
from relevo_client._context.log import log
from relevo_client._context.raised import shown

WAITING = 0.5
"""The part of a call's time for which it waits while another process has the lease. The next
call follows then: a store that is silent is noticed as soon as by any other call."""
RELEASE_TIMEOUT = 1.0
"""Seconds that giving a lease back may take; it ends by itself too."""
ATTEMPTS = 3
"""How often an entry is made again that was lost before it was written, or read."""

Lifetime: TypeAlias = timedelta | float | None
"""A time to live, in seconds where it is a number; None for the scope's."""

Made = TypeVar("Made")


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


def is_held(error: RelevoError) -> bool:
    """Whether another process still has the lease."""
    return error.reason == "LEASE_HELD"


def tell_failure(key: ContextKey, error: Exception) -> None:
    """Log why an entry was not made. That another process does it is no failure."""
    if not isinstance(error, RelevoError):
        # The user's function, whatever it raises: the text may quote values.
        log.warning("%s was not made: %s", key, shown(error))
    elif not is_held(error):
        log.warning("%s was not made: %s", key, error.reason)


def lost(key: ContextKey) -> LeaseLostError:
    """What a caller gets where the entry was never written in time."""
    return LeaseLostError(
        f"{key} was not created: each time the lease was over before it was written",
        reason="LEASE_LOST",
        metadata={"key": key.text},
    )


def too_late(key: ContextKey) -> UnavailableError:
    """What a caller gets whose own time was over first."""
    return UnavailableError(
        f"{key} was not created in time",
        reason="DEADLINE_EXCEEDED",
        metadata={"key": key.text},
        retry_after=RETRY_DELAY,
    )


class Loaders(Generic[Made]):
    """Functions that make the entries of a scope, by scope."""

    def __init__(self, loaders: Mapping[str, Made]) -> None:
        for scope in loaders:
            if not scope:
                raise InvalidFieldError([("loaders", "must have scopes as names")])
        self._loaders = dict(loaders)
        self.scopes = frozenset(loaders)
        """The scopes that have one."""

    def of(self, key: ContextKey) -> Made:
        """The function for a key, whose scope has one."""
        return self._loaders[key.scope]

    def missing(
        self, key: ContextKey, error: NotFoundError | IncompleteContextError
    ) -> list[ContextKey]:
        """The keys to load where a context cannot be had. Raises the error where one cannot."""
        if isinstance(error, NotFoundError):
            keys = [key]
        else:
            keys = [ContextKey.parse(text) for text in error.missing]
        if not all(each.scope in self.scopes for each in keys):
            raise error
        return keys
