"""The requests of a Watch stream that its caller may not make, for the audit."""

from relevo_server.access.sessions import Session
from relevo_server.audit import Trail
from relevo_server.errors import StoreError
from relevo_server.keys import Key

_TOLD = 64
"""Tenants and scopes whose first denial has a record of its own, for each stream."""


class Denials:
    """The denials of one stream.

    The first one of a tenant and a scope is recorded. A client asks again for as long as it
    needs the key, or for many keys: these are counted, and the audit sums them up.
    """

    def __init__(self, trail: Trail, session: Session, peer: str) -> None:
        self._trail = trail
        self._session = session
        self._peer = peer
        self._told: set[tuple[str, str]] = set()

    def add(self, key: Key, error: StoreError) -> None:
        """Record that a request for a key was denied with this error."""
        subject = key.tenant_id, key.scope
        is_repeated = subject in self._told or len(self._told) >= _TOLD
        if not is_repeated:
            self._told.add(subject)
        self._trail.failed(
            *("Watch", self._session.name, lambda: self._peer, error), is_repeated=is_repeated
        )
