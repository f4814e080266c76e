"""Open streams: each lasts as long as the right of its caller.

A call is judged once, when it comes. A stream may last for days, so its caller is found anew after
a reload of the settings, when its token expires, and when an issuer's keys have changed.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Protocol

from relevo_server import errors
from relevo_server.access.callers import Caller
from relevo_server.access.pending import KeysPending
from relevo_server.errors import StoreError
from relevo_server.roles import Role, Scopes


class Needs(Protocol):
    """Raises PERMISSION_DENIED if a caller may not have what a stream has."""

    def __call__(self, caller: Caller) -> None:
        """Check a caller."""
        ...


class Session:
    """A stream's caller. It has the rights that this caller has now."""

    def __init__(self, caller: Caller, authenticate: Callable[[], Caller]) -> None:
        self.caller = caller
        self._authenticate = authenticate
        self._needs: Needs = _nothing
        self._wake: Callable[[], None] = _nobody
        self._failure: StoreError | None = None
        self.changes = 0
        """The number of times that the caller's rights have changed since the stream began."""

    @property
    def name(self) -> str:
        """The principal's name, "" if the server has no principals."""
        return self.caller.name

    @property
    def readable(self) -> Scopes:
        """The scopes that the caller may read, None for all."""
        return self.caller.readable

    def require(self, tenant_id: str, role: Role, scope: str) -> None:
        """Raise PERMISSION_DENIED as `Caller.require` does."""
        self.caller.require(tenant_id, role, scope)

    def require_everything(self, role: Role) -> None:
        """Raise PERMISSION_DENIED as `Caller.require_everything` does."""
        self.caller.require_everything(role)

    def attach(self, wake: Callable[[], None], needs: Needs | None = None) -> None:
        """Name what wakes the stream once it has to end, or its caller's rights have changed.

        `needs` raises if the stream has to end, as the caller may not have all of it; None if a
        stream goes on with what its caller may have.
        """
        self._wake = wake
        self._needs = needs or _nothing

    def check(self) -> None:
        """Raise UNAUTHENTICATED or PERMISSION_DENIED if the stream's right has ended."""
        if self._failure:
            raise self._failure

    def review(self) -> None:
        """Find the caller anew. If it may not have what the stream needs, the stream ends."""
        try:
            caller = self._authenticate()
            if caller != self.caller:
                self._needs(caller)
        except KeysPending as pending:
            # Without any keys of the issuer nobody can tell. Once they are there, all are reviewed.
            if pending.has_keys:
                self._end(errors.unauthenticated())
        except StoreError as error:
            self._end(error)
        else:
            if caller != self.caller:
                self.caller = caller
                self.changes += 1
                self._wake()

    def _end(self, error: StoreError) -> None:
        self._failure = error
        self._wake()


class Sessions:
    """The open streams of a server."""

    def __init__(self) -> None:
        self._sessions: set[Session] = set()

    def __iter__(self) -> Iterator[Session]:
        # A copy: streams begin and end meanwhile.
        return iter(list(self._sessions))

    @contextmanager
    def open(self, session: Session) -> Generator[Session, None, None]:
        """Review a stream for as long as it is open."""
        self._sessions.add(session)
        try:
            yield session
        finally:
            self._sessions.discard(session)


def _nothing(caller: Caller) -> None:
    """The needs of a stream that can go on without anything."""
    del caller


def _nobody() -> None:
    """The wake-up of a stream that does not wait yet."""
