"""The loaders of a client by scope, and the limits and errors of creating entries."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from relevo_client._context.errors import (
    RETRY_DELAY,
    IncompleteContextError,
    InvalidFieldError,
    LeaseHeldError,
    LeaseLostError,
    NotFoundError,
    RelevoError,
    UnavailableError,
)
from relevo_client._context.keys import ContextKey
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._context.reasons import Reason

LEASE_WAIT_SHARE = 0.5
"""The part of a call's timeout that the store may wait for another process's lease. Then the
next call follows, so a store that does not respond is noticed as soon as by any other call."""
RELEASE_TIMEOUT = 1.0
"""Seconds for the release of a lease, which expires if that fails."""
ATTEMPTS = 3
"""Attempts to create an entry whose lease or entry ends before it is written or read."""

Loader = TypeVar("Loader")


def log_failure(key: ContextKey, error: Exception) -> None:
    """Log why an entry was not created, unless another process creates it."""
    if not isinstance(error, RelevoError):
        # Not the text of a user's exception, which may quote values.
        log.warning("%s was not made: %s", key, class_and_place(error))
    elif not isinstance(error, LeaseHeldError):
        log.warning("%s was not made: %s", key, error.reason)


def lease_lost(key: ContextKey) -> LeaseLostError:
    """The error of a caller whose lease ended before the write in every attempt."""
    return LeaseLostError(
        f"{key} was not created: each time the lease was over before it was written",
        reason=Reason.LEASE_LOST,
        metadata={"key": key.text},
    )


def creation_too_late(key: ContextKey) -> UnavailableError:
    """The error of a caller whose own deadline passed before the entry was created."""
    return UnavailableError(
        f"{key} was not created in time",
        reason=Reason.DEADLINE_EXCEEDED,
        metadata={"key": key.text},
        retry_after=RETRY_DELAY,
    )


class Loaders(Generic[Loader]):
    """The loaders of a client, by scope. Raises InvalidFieldError for an empty scope."""

    def __init__(self, loaders: Mapping[str, Loader]) -> None:
        for scope in loaders:
            if not scope:
                raise InvalidFieldError([("loaders", "must have scopes as names")])
        self._loaders = dict(loaders)
        self.scopes = frozenset(loaders)
        """The scopes that have a loader."""

    def of(self, key: ContextKey) -> Loader:
        """The loader of a key's scope, which must have one."""
        return self._loaders[key.scope]

    def missing(
        self, key: ContextKey, error: NotFoundError | IncompleteContextError
    ) -> list[ContextKey]:
        """The keys that `error` reports as missing. Raises `error` if one has no loader."""
        if isinstance(error, NotFoundError):
            keys = [key]
        else:
            keys = [ContextKey.parse(text) for text in error.missing]
        if not all(each.scope in self.scopes for each in keys):
            raise error
        return keys
