"""The bearer token of a client's calls: fixed, or read again from a function or a file.

The token is a metadata entry and not gRPC's call credentials: those need TLS, and a store on
loopback has none. `Bearer` decides when a token has to be read. The stores of both kinds read it,
because they wait in different ways.
"""

import time
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

from relevo_client._context.errors import (
    RETRY_DELAY,
    AccessDeniedError,
    InvalidFieldError,
    UnavailableError,
)
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._context.reasons import Reason

FUNCTION_AGE = 60.0
"""Seconds for which the token of a function is used."""
FILE_AGE = 1.0
"""Seconds after which a token's file is read again."""
PATIENCE = 1.0
"""Seconds without another attempt after a token that was just read has been refused."""

Entries: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata entries of a call."""


class Bearer:
    """The token of one client. Any number of threads may use it.

    Args:
        read: returns the token, or an awaitable of it; None for a token that never changes.
        age: seconds for which a token is used before it is read again.
        is_local: whether `read` neither blocks nor waits, so that an event loop may call it.
        first: the metadata of the first token; None if it has to be read first.
        clock: a monotonic clock.

    """

    def __init__(
        self,
        read: Callable[[], object] | None,
        age: float,
        *,
        is_local: bool = False,
        first: Entries | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.read = read
        self.is_local = is_local
        self._age = age
        self._clock = clock
        self._entries = first
        self._expires = clock() + age
        self._hopeless_until = float("-inf")

    def entries(self) -> Entries | None:
        """The metadata of a call; None if the token has to be read first."""
        is_usable = self.read is None or self._clock() < self._expires
        return self._entries if is_usable else None

    def renewed(self, token: object) -> Entries:
        """The metadata with a token that was just read. Raises InvalidFieldError, TypeError."""
        if not isinstance(token, str):
            raise TypeError(f"a token must be a string, and is {type(token).__name__}")
        entries = entries_of(token, "token")
        self._entries, self._expires = entries, self._clock() + self._age
        return entries

    def failed(self, error: Exception) -> Entries:
        """The metadata of a call after the token could not be read.

        The last token is used on, unless the store has refused it. Raises UnavailableError if
        there is none. The log has the error's class and place: its text may have the token.
        """
        log.warning("the token cannot be read: %s", class_and_place(error, self.read))
        entries = self._entries
        if entries is None:
            raise UnavailableError(
                "the token cannot be read now",
                reason=Reason.TOKEN_UNAVAILABLE,
                retry_after=RETRY_DELAY,
            )
        self._expires = self._clock() + min(self._age, FILE_AGE)
        return entries

    def refused(self, error: AccessDeniedError, used: Entries, *, is_retry: bool) -> bool:
        """Record that the store refuses a call. Returns whether a fresh token may help it."""
        now = self._clock()
        is_unknown = error.reason == Reason.UNAUTHENTICATED
        if not is_unknown or self.read is None or now < self._hopeless_until:
            return False
        if is_retry:
            self._hopeless_until = now + PATIENCE
            return False
        if self._entries == used:  # else another call has renewed it already
            self._entries, self._expires = None, now
        return True


def entries_of(token: str, field: str) -> Entries:
    """The metadata entry of a token. Raises InvalidFieldError if no header can hold the token."""
    if not token:
        raise InvalidFieldError([(field, "must not be empty")])
    if not (token.isascii() and token.isprintable()):
        raise InvalidFieldError([(field, "must be printable ASCII, without a line end")])
    return (("authorization", f"Bearer {token}"),)


def fixed(token: str) -> Bearer:
    """A token that never changes; "" for none. Raises InvalidFieldError."""
    return Bearer(None, 0.0, first=entries_of(token, "token") if token else ())


def of_function(function: Callable[[], object]) -> Bearer:
    """A token that a function returns. The function is not called before the first call."""
    return Bearer(function, FUNCTION_AGE)


def of_file(path: str | PathLike[str]) -> Bearer:
    """The token in a file, which is read now. Raises InvalidFieldError."""
    file = Path(fspath(path))

    def read() -> str:
        return file.read_text("utf-8").strip()

    try:
        first = entries_of(read(), "token_file")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "is not text"
        raise InvalidFieldError([("token_file", f"{file}: {problem}")]) from None
    return Bearer(read, FILE_AGE, is_local=True, first=first)


def token_late() -> UnavailableError:
    """The error of a call whose time was over before its token was read."""
    return UnavailableError(
        "the token was not read in time",
        reason=Reason.DEADLINE_EXCEEDED,
        retry_after=RETRY_DELAY,
    )
