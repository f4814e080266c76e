"""Authentication: finds the caller of a call, by its bearer token or its certificate."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import NamedTuple, Protocol

from relevo_server import errors
from relevo_server.access.callers import ANYONE, Caller
from relevo_server.access.certificates import AuthContext
from relevo_server.access.known import Known
from relevo_server.access.pending import NO_KEYS, KeysPending
from relevo_server.access.sessions import Session, Sessions
from relevo_server.errors import StoreError
from relevo_server.identities import Issuer, Principal
from relevo_server.logs import log, where

Metadata = Iterable[tuple[str, str | bytes]]
_SCHEME = "bearer "
_MAX_WAITING = 100
"""Calls that wait for keys at the same time."""
_REVIEWED_TOGETHER = 16
"""Streams that are reviewed in one turn of the loop: calls wait for no more."""


class Call(Protocol):
    """The proofs that come with a call, as gRPC's ServicerContext has them."""

    def invocation_metadata(self) -> Metadata | None:
        """The metadata that the caller has sent."""
        ...

    def auth_context(self) -> AuthContext:
        """The names in the certificate that the connection has proven."""
        ...


class _Found(NamedTuple):
    """A caller that the gate has found, and what it was found by."""

    caller: Caller
    known: Known
    version: int
    """The version of the keys."""


_found: ContextVar[_Found | None] = ContextVar("found", default=None)
"""The caller that the gate has found for a call. gRPC runs the gate and then the method in one
task, which is the call's own; so the method need not read the metadata again, and look for its
token."""


class Access:
    """Finds the caller of a call. If nobody is known, everyone may do everything."""

    def __init__(self, principals: Sequence[Principal], issuers: Sequence[Issuer] = ()) -> None:
        self._known = Known(principals, issuers)
        self._reviewed = 0  # the version of the keys with which all streams were reviewed
        self._waiting = 0  # calls that wait for keys
        self.sessions = Sessions()
        """The streams that are open."""

    def caller(self, call: Call) -> Caller:
        """The owner of the token in the metadata `authorization`, or of the certificate.

        A call that shows a token is judged by it alone. Raises UNAUTHENTICATED if there is neither,
        or one that is unknown or has expired; UNAVAILABLE if the keys that verify tokens could
        never be had; and KeysPending.
        """
        known, found = self._known, _found.get()
        if (
            found
            # A request may come long after its headers: what was found may have ended meanwhile.
            and found.known is known
            and found.version == known.version
            and time.time() < found.caller.expires
        ):
            return found.caller
        return self._caller_of(call)

    def _caller_of(self, call: Call) -> Caller:
        """The same, without what the gate has found."""
        known = self._known
        if known.is_open:
            return ANYONE
        token = _token_of(call.invocation_metadata() or ())
        if token:
            return known.owner(token)
        if known.certificates and token is None:
            caller = known.certificates.caller(call.auth_context())
            if caller:
                return caller
        raise errors.unauthenticated()

    def is_stranger(self, metadata: Metadata) -> bool:
        """Whether a call with this metadata is unknown, whatever its connection has proven.

        Remembers the caller for the method, which runs in the same task.
        """
        known = self._known
        _found.set(None)
        if known.is_open:
            return False
        token = _token_of(metadata)
        if not token:
            return token is not None or not known.certificates
        try:
            _found.set(_Found(known.owner(token), known, known.version))
        except KeysPending:
            return False
        except StoreError:
            return True
        return False

    async def authenticate(self, call: Call) -> Caller:
        """The same, after a wait for the keys if the caller's one is not known.

        Those who wait are strangers so far: only some may, the others get RESOURCE_EXHAUSTED.
        """
        try:
            return self.caller(call)
        except KeysPending as pending:
            if self._waiting >= _MAX_WAITING:
                raise errors.too_many_requests(_MAX_WAITING) from None
            self._waiting += 1
            try:
                await pending.fetched()
            finally:
                self._waiting -= 1
        try:
            return self.caller(call)
        except KeysPending as pending:
            # Once is enough: the key is unknown, or the issuer is away.
            has_keys = pending.has_keys
        raise errors.unauthenticated() if has_keys else errors.unavailable(NO_KEYS)

    async def session(self, call: Call) -> Session:
        """The caller of a stream. Raises as `authenticate` does.

        `sessions` must hold it for as long as the stream is open.
        """
        return Session(await self.authenticate(call), lambda: self._caller_of(call))

    async def begin(self) -> None:
        """Begin to have keys: see `Known.begin`. Raises ValueError if a file of keys is wrong."""
        await self._known.begin()

    async def reload(self, principals: Sequence[Principal], issuers: Sequence[Issuer]) -> None:
        """Know these from now on, and end the streams whose right is gone.

        Raises ValueError if a file of keys cannot be used; then nothing has changed.
        """
        known = Known(principals, issuers, self._known)
        await known.begin()
        before, self._known = self._known, known
        await before.close(keep=known.keysets)
        await self._review(everyone=True)

    async def follow(self, interval: float) -> None:
        """Keep keys current and end streams whose token has expired, without end.

        `interval` is the seconds between two looks.
        """
        while True:
            await asyncio.sleep(interval)
            try:
                for keys in self._known.keysets:
                    if keys.is_due():
                        keys.refresh()
                await self._review(everyone=self._known.version != self._reviewed)
            except Exception as error:  # noqa: BLE001 - a defect: streams must end all the same
                log.error("access.failed", where=where(error))

    async def close(self) -> None:
        """End what is under way."""
        await self._known.close()

    async def _review(self, *, everyone: bool) -> None:
        self._reviewed = self._known.version
        now = time.time()
        due = [each for each in self.sessions if everyone or each.caller.expires <= now]
        for i, session in enumerate(due, start=1):
            session.review()
            if i % _REVIEWED_TOGETHER == 0:
                await asyncio.sleep(0)


def _token_of(metadata: Metadata) -> str | None:
    """The bearer token that a call shows; "" if it shows another proof, None if it shows none."""
    shown = None
    for name, value in metadata:
        if name == "authorization" and isinstance(value, str):
            scheme, token = value[: len(_SCHEME)], value[len(_SCHEME) :]
            if scheme.lower() == _SCHEME:
                return token
            shown = ""
    return shown
