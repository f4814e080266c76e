"""A JWKS (RFC 7517): the document with an issuer's public keys, from a file or an https URL."""

import json
import ssl
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, cast
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from relevo_server.identities import HTTPS, Issuer

TIMEOUT = 5.0
"""Seconds that a server of keys may let a read wait."""
_MAX_BYTES = 1 << 20
_MAX_TOKEN_BYTES = 16 << 10
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


class Keys(NamedTuple):
    """The keys of a JWKS that verify tokens by allowed algorithms."""

    by_name: Mapping[KeyName, PyJWK]
    left_out: tuple[str, ...]
    """A text for each key for signatures that does not count: its id, and the reason."""


def read(issuer: Issuer) -> bytes:
    """The document with an issuer's keys. Raises OSError, and ValueError if it is too long."""
    if issuer.jwks.startswith(HTTPS):
        document = _fetched(issuer)
    else:
        with Path(issuer.jwks).open("rb") as file:
            document = file.read(_MAX_BYTES + 1)
    if len(document) > _MAX_BYTES:
        raise ValueError(f"has more than {_MAX_BYTES} bytes")
    return document


def parse(document: bytes, allowed: Collection[str]) -> Keys:
    """The keys of a JWKS that verify tokens by allowed algorithms.

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
    left_out: list[str] = []
    for i, each in enumerate(listed[:_MAX_KEYS]):
        if not isinstance(each, dict):
            left_out.append(f"keys.{i} is no object")
            continue
        jwk = cast("dict[str, Any]", each)
        if jwk.get("use", "sig") != "sig":
            continue  # for encryption: many issuers have one beside the others
        try:
            for algorithm, key in _keys(jwk, allowed):
                found[KeyName(_id(jwk), algorithm)] = key
                by_algorithm.setdefault(algorithm, []).append(key)
        except ValueError as error:
            left_out.append(f"{_name(jwk, i)} {error}")
    if len(listed) > _MAX_KEYS:
        left_out.append(f"only the first {_MAX_KEYS} keys count")
    for algorithm, keys in by_algorithm.items():
        if len(keys) == 1:  # a token without an id can mean only this key
            found[KeyName(None, algorithm)] = keys[0]
        else:
            found.pop(KeyName(None, algorithm), None)
    if not found:
        raise ValueError("; ".join([f"has no key for {', '.join(sorted(allowed))}", *left_out]))
    return Keys(found, tuple(left_out))


def _fetched(issuer: Issuer) -> bytes:
    headers = {"Accept": "application/json"}
    if issuer.jwks_token_file:
        headers["Authorization"] = f"Bearer {_token(issuer.jwks_token_file)}"
    try:
        context = ssl.create_default_context(cafile=issuer.jwks_ca)
    except OSError as error:  # includes ssl.SSLError
        raise ValueError(f"jwks_ca: {error.strerror or 'is no certificate'}") from None
    opener = build_opener(HTTPSHandler(context=context), _NoRedirects())
    request = Request(issuer.jwks, headers=headers)  # noqa: S310 - https
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            document: bytes = response.read(_MAX_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise
    return document


def _token(path: Path) -> str:
    """The token in a file. Raises ValueError, without a quotation of it."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
    except OSError as error:
        raise ValueError(f"jwks_token_file: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise ValueError("jwks_token_file: is no token")
    return text


def _list_in(parsed: object) -> list[Any] | None:
    """The list of keys in the object, None if this is no such object."""
    if not isinstance(parsed, dict):
        return None
    listed = cast("dict[str, object]", parsed).get("keys")
    return listed if _is_list(listed) else None


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _keys(jwk: Mapping[str, Any], allowed: Collection[str]) -> Iterator[tuple[str, PyJWK]]:
    """A key for each algorithm by which it verifies. Raises ValueError if there is none."""
    if "d" in jwk:  # it would verify too, but has no business here
        raise ValueError("is a private key")
    algorithms = [each for each in _algorithms_of(jwk) if each in allowed]
    if not algorithms:
        raise ValueError("fits no algorithm that is allowed")
    for algorithm in algorithms:
        try:
            key = PyJWK(dict(jwk), algorithm)
        except (PyJWTError, ValueError):
            raise ValueError("is malformed") from None  # which costs this key only
        if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
            raise ValueError(f"has less than {_LEAST_RSA_BITS} bits")
        yield algorithm, key


def _algorithms_of(jwk: Mapping[str, Any]) -> Iterator[str]:
    """The algorithms by which a key may verify: its own, else those of its type."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    for algorithm in _BY_TYPE.get(str(kind), ()):
        if jwk.get("alg", algorithm) == algorithm and (
            kind != "EC" or _BY_CURVE.get(str(curve)) == algorithm
        ):
            yield algorithm


def _id(jwk: Mapping[str, Any]) -> str | None:
    return str(jwk["kid"]) if "kid" in jwk else None


def _name(jwk: Mapping[str, Any], position: int) -> str:
    """The id of a key for people to read, else its position."""
    kid = jwk.get("kid")
    return f"{kid[:64]!r}" if isinstance(kid, str) else f"keys.{position}"


class _NoRedirects(HTTPRedirectHandler):
    """Keys come from the URL of the settings, and from nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect: urllib raises its HTTPError, an OSError."""
