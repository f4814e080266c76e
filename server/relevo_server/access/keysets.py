"""The public keys of an issuer of JWTs, and when they are fetched.

Keys are fetched by a thread, never by the event loop: at the start, regularly, and if a token names
a key that is not known. A stranger can name any key, so that happens at most every few seconds.
"""

import asyncio
import math
from collections.abc import Mapping
from http.client import HTTPException
from time import monotonic

from jwt import PyJWK

from relevo_server.access import jwks
from relevo_server.access.jwks import KeyName
from relevo_server.access.pending import KeysPending
from relevo_server.identities import HTTPS, Issuer
from relevo_server.logs import cause_of, log

COOLDOWN = 5.0
"""Seconds between two fetches for keys that are not known."""


class KeySet:
    """The keys of one issuer. Create and use it within the event loop."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.version = 0
        """Greater whenever the keys have changed: what was verified with the former is void."""
        self.problem = ""
        """The error of the last fetch, "" if there was none."""
        self._document: bytes | None = None
        self._keys: Mapping[KeyName, PyJWK] = {}
        self._fetch: asyncio.Task[None] | None = None
        self._asked = -math.inf
        self._is_probe = False  # whether the fetch under way is for a key that is not known
        self._probed = -math.inf  # when the last such fetch ended

    @property
    def is_file(self) -> bool:
        """Whether the keys are in a file."""
        return not self.issuer.jwks.startswith(HTTPS)

    @property
    def is_known(self) -> bool:
        """Whether the keys were ever fetched."""
        return self._document is not None

    def find(self, name: KeyName) -> PyJWK | None:
        """The key of a token, None if the issuer has none of this name.

        Raises KeysPending if the keys are being fetched now, as the name is not known.
        """
        found = self._keys.get(name)
        if found is None:
            if self._fetch is None and monotonic() - self._probed >= COOLDOWN:
                self._is_probe = True
                self.refresh()
            if self._fetch:
                raise KeysPending(self._fetch, has_keys=self.is_known)
        return found

    def refresh(self) -> "asyncio.Task[None]":
        """Begin to fetch the keys, unless that is under way."""
        if self._fetch is None:
            self._asked = monotonic()
            self._fetch = asyncio.create_task(self._refresh())
        return self._fetch

    def is_due(self) -> bool:
        """Whether the keys are to be fetched again by now."""
        return monotonic() - self._asked >= (
            self.issuer.jwks_refresh if self.is_known else COOLDOWN
        )

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetch:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(2 * jwks.TIMEOUT):
                document = await asyncio.to_thread(jwks.read, self.issuer)
            if document != self._document:
                keys = await asyncio.to_thread(jwks.parse, document, self.issuer.algorithms)
                self._keys = keys.by_name
                self._document = document
                self.version += 1
                log.info("jwks.read", issuer=self.issuer.name, keys=len(self._keys))
            self.problem = ""
        except (OSError, HTTPException, ValueError) as error:
            # The keys that are known go on: they were right when they were read.
            self.problem = cause_of(error)
            log.warning("jwks.refused", issuer=self.issuer.name, cause=self.problem)
        finally:
            self._fetch, self._asked = None, monotonic()
            if self._is_probe:
                self._is_probe, self._probed = False, self._asked
