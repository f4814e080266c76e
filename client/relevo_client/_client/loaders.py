"""Loaders, which create the entries of a scope: whose turn it is, how often, and what fails."""

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
from relevo_client._context.raised import shown
from relevo_client._context.reasons import Reason

LEASE_WAIT_SHARE = 0.5
"""The part of a call's time for which it waits while another process has the lease. The next
call follows then: a store that is silent is noticed as soon as by any other call."""
RELEASE_TIMEOUT = 1.0
"""Seconds that giving a lease back may take; it ends by itself too."""
ATTEMPTS = 3
"""How often an entry is made again that was lost before it was written, or read."""

Loader = TypeVar("Loader")


def log_failure(key: ContextKey, error: Exception) -> None:
    """Log why an entry was not created. That another process creates it is no failure."""
    if not isinstance(error, RelevoError):
        # The user's function, whatever it raises: the text may quote values.
        log.warning("%s was not made: %s", key, shown(error))
    elif not isinstance(error, LeaseHeldError):
        log.warning("%s was not made: %s", key, error.reason)


def lease_lost(key: ContextKey) -> LeaseLostError:
    """The error of a caller whose entry was never written in time."""
    return LeaseLostError(
        f"{key} was not created: each time the lease was over before it was written",
        reason=Reason.LEASE_LOST,
        metadata={"key": key.text},
    )


def creation_too_late(key: ContextKey) -> UnavailableError:
    """The error of a caller whose own deadline came first."""
    return UnavailableError(
        f"{key} was not created in time",
        reason=Reason.DEADLINE_EXCEEDED,
        metadata={"key": key.text},
        retry_after=RETRY_DELAY,
    )


class Loaders(Generic[Loader]):
    """Functions that make the entries of a scope, by scope."""

    def __init__(self, loaders: Mapping[str, Loader]) -> None:
        for scope in loaders:
            if not scope:
                raise InvalidFieldError([("loaders", "must have scopes as names")])
        self._loaders = dict(loaders)
        self.scopes = frozenset(loaders)
        """The scopes that have one."""

    def of(self, key: ContextKey) -> Loader:
        """The function for a key, whose scope has one."""
        return self._loaders[key.scope]

    def missing(
        self, key: ContextKey, error: NotFoundError | IncompleteContextError
    ) -> list[ContextKey]:
        """The keys to load if a context cannot be had. Raises the error if one has no loader."""
        if isinstance(error, NotFoundError):
            keys = [key]
        else:
            keys = [ContextKey.parse(text) for text in error.missing]
        if not all(each.scope in self.scopes for each in keys):
            raise error
        return keys
