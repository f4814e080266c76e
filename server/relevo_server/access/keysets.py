"""The public keys of an issuer of JWTs: a JWKS (RFC 7517) in a file, or at an https URL.

Keys are fetched by a thread, never by the event loop: at the start, regularly, and if a token names
a key that is not known. A stranger can name any key, so that happens at most every few seconds.
"""

import asyncio
import json
import math
import ssl
from collections.abc import Collection, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeGuard, cast
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from relevo_server.access.pending import KeysPending
from relevo_server.identities import Issuer
from relevo_server.logs import cause_of, log

_HTTPS = "https://"
COOLDOWN = 5.0
"""Seconds between two fetches for keys that are not known."""
_TIMEOUT = 5.0
"""Seconds that a server of keys may let a read wait."""
_MAX_BYTES = 1 << 20
_MAX_KEYS = 100
_LEAST_RSA_BITS = 2048
_BY_TYPE = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class KeyName(NamedTuple):
    """The name of a key: its id, None for a token without one, and the token's algorithm."""

    id: str | None
    algorithm: str


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
        return not self.issuer.jwks.startswith(_HTTPS)

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
            async with asyncio.timeout(2 * _TIMEOUT):
                document = await asyncio.to_thread(read, self.issuer.jwks)
            if document != self._document:
                self._keys = await asyncio.to_thread(parse, document, self.issuer.algorithms)
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


def read(source: str) -> bytes:
    """The text of a JWKS. Raises OSError, or ValueError if it is too long."""
    if source.startswith(_HTTPS):
        opener = build_opener(HTTPSHandler(context=ssl.create_default_context()), _NoRedirects())
        request = Request(source, headers={"Accept": "application/json"})  # noqa: S310 - https
        try:
            with opener.open(request, timeout=_TIMEOUT) as response:
                document: bytes = response.read(_MAX_BYTES + 1)
        except HTTPError as error:
            error.close()
            raise
    else:
        with Path(source).open("rb") as file:
            document = file.read(_MAX_BYTES + 1)
    if len(document) > _MAX_BYTES:
        raise ValueError(f"has more than {_MAX_BYTES} bytes")
    return document


def parse(document: bytes, allowed: Collection[str]) -> Mapping[KeyName, PyJWK]:
    """The keys of a JWKS that verify tokens by allowed algorithms. Others are left out.

    Raises ValueError if it is no JWKS, or has no such key.
    """
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError):
        parsed = None
    listed = _list_in(parsed)
    if listed is None:
        raise ValueError("is not a JWKS: a JSON object with a list of keys")
    found: dict[KeyName, PyJWK] = {}
    by_algorithm: dict[str, list[PyJWK]] = {}
    for each in listed[:_MAX_KEYS]:
        if not isinstance(each, dict):
            continue
        jwk = cast("dict[str, Any]", each)
        # A private key would verify too, but has no business here.
        if jwk.get("use", "sig") != "sig" or "d" in jwk:
            continue
        for algorithm in _algorithms_of(jwk):
            if algorithm not in allowed:
                continue
            try:
                key = PyJWK(jwk, algorithm)
            except (PyJWTError, ValueError):
                continue  # a malformed key costs itself only
            if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
                continue
            found[KeyName(str(jwk["kid"]) if "kid" in jwk else None, algorithm)] = key
            by_algorithm.setdefault(algorithm, []).append(key)
    for algorithm, keys in by_algorithm.items():
        if len(keys) == 1:  # a token without an id can mean only this key
            found[KeyName(None, algorithm)] = keys[0]
        else:
            found.pop(KeyName(None, algorithm), None)
    if not found:
        raise ValueError(f"has no key for {', '.join(sorted(allowed))}")
    return found


def _list_in(parsed: object) -> list[Any] | None:
    """The list of keys in the object, None if this is no such object."""
    if not isinstance(parsed, dict):
        return None
    listed = cast("dict[str, object]", parsed).get("keys")
    return listed if _is_list(listed) else None


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _algorithms_of(jwk: Mapping[str, Any]) -> Iterator[str]:
    """The algorithms by which a key may verify: its own, else those of its type."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    for algorithm in _BY_TYPE.get(str(kind), ()):
        if jwk.get("alg", algorithm) == algorithm and (
            kind != "EC" or _BY_CURVE.get(str(curve)) == algorithm
        ):
            yield algorithm


class _NoRedirects(HTTPRedirectHandler):
    """Keys come from the URL of the settings, and from nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect: urllib raises its HTTPError, an OSError."""
