"""The table of callers that a server knows by its settings. A reload replaces it as a whole."""

import math
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from relevo_server import errors
from relevo_server.access.callers import Caller, caller_of
from relevo_server.access.certificates import Certificates
from relevo_server.identities import Issuer, Principal

if TYPE_CHECKING:
    from relevo_server.access.jwts import Jwts
    from relevo_server.access.keysets import KeySet


class Known:
    """The callers of a server, by what they show.

    With issuers this imports PyJWT, and raises ModuleNotFoundError without it. `before` is the
    table that this one is to replace: the keys of its issuers are not fetched again.
    """

    def __init__(
        self,
        principals: Sequence[Principal],
        issuers: Sequence[Issuer],
        before: "Known | None" = None,
    ) -> None:
        self._by_digest = {
            each.token_sha256: caller_of(each, _end(each))
            for each in principals
            if each.token_sha256
        }
        self.certificates = Certificates(principals)
        self.is_open = not (principals or issuers)
        """Whether nobody is known, so that everyone may do everything."""
        self._jwts = _jwts(issuers, principals, before) if issuers else None

    @property
    def keysets(self) -> "Sequence[KeySet]":
        """The keys of the issuers, in the order of the settings."""
        return self._jwts.keysets if self._jwts else ()

    @property
    def version(self) -> int:
        """Greater whenever the keys of an issuer have changed."""
        return self._jwts.version if self._jwts else 0

    def owner(self, token: str) -> Caller:
        """The caller whose bearer token this is.

        Raises UNAUTHENTICATED, UNAVAILABLE if an issuer's keys could never be had, and KeysPending.
        """
        # Tokens are found by their digest, so timing reveals nothing about them.
        digest = sha256(token.encode()).hexdigest()
        caller = self._by_digest.get(digest)
        if caller:
            if caller.expires <= time.time():
                raise errors.token_expired()
            return caller
        if self._jwts and token.count(".") == 2:
            return self._jwts.caller(token, digest)
        raise errors.unauthenticated()

    async def begin(self) -> None:
        """Read the files of keys, and begin to fetch those of URLs.

        Raises ValueError if a file cannot be used. Nobody waits for a URL but the calls that need
        its keys.
        """
        for i, keys in enumerate(self.keysets):
            if keys.is_file:
                await keys.refresh()
                if keys.problem:
                    raise ValueError(f"issuers.{i}.jwks: {keys.problem}")
            elif keys.is_due():
                keys.refresh()

    async def close(self, keep: Iterable["KeySet"] = ()) -> None:
        """End the fetches that are under way, but for those of `keep`."""
        kept = set(keep)
        for each in self.keysets:
            if each not in kept:
                await each.close()


def _end(principal: Principal) -> float:
    return principal.expires.timestamp() if principal.expires else math.inf


def _jwts(
    issuers: Sequence[Issuer], principals: Sequence[Principal], before: Known | None
) -> "Jwts":
    # Without issuers, a server does without the extra `jwt`.
    from relevo_server.access.jwts import Jwts  # noqa: PLC0415
    from relevo_server.access.keysets import KeySet  # noqa: PLC0415

    known = {each.issuer: each for each in before.keysets} if before else {}
    keysets = [known.get(each) or KeySet(each) for each in issuers]
    return Jwts(keysets, (each for each in principals if each.subject))
