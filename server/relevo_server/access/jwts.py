"""JWTs (RFC 7519): whom they name, and what their claims grant within the issuer's limits.

A principal of the settings may stand for a subject. Then the settings say what the token grants,
and its claims do not: tokens such as those of Kubernetes have no claims about tenants.

A token is verified once. Until it expires, or the issuer's keys change, it is found by its digest.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jwt
from jwt.types import Options

from relevo_server import errors, roles
from relevo_server.access.callers import ALL_TENANTS, Caller, caller_of
from relevo_server.access.jwks import KeyName
from relevo_server.access.keysets import KeySet
from relevo_server.access.pending import NO_KEYS
from relevo_server.identities import Issuer, Principal
from relevo_server.keys import part_problem
from relevo_server.roles import Grants

_MAX_VERIFIED = 10_000
_UNVERIFIED: Options = {"verify_signature": False}


class _Verified(NamedTuple):
    caller: Caller
    keys: KeySet
    version: int
    """The version of the keys by which the token was verified."""


class Jwts:
    """The callers of JWTs. `keysets` are those of the issuers that are trusted.

    Those of `principals` that have an issuer and a subject stand for the tokens of these.
    """

    def __init__(self, keysets: Sequence[KeySet], principals: Iterable[Principal] = ()) -> None:
        self.keysets = keysets
        self._principals = {(each.issuer, each.subject): each for each in principals}
        self._by_issuer = {each.issuer.issuer: each for each in keysets}
        self._longest = max(each.issuer.max_token_bytes for each in keysets)
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    @property
    def version(self) -> int:
        """Greater whenever keys have changed."""
        return sum(each.version for each in self.keysets)

    def caller(self, token: str, digest: str) -> Caller:
        """The caller whom a token names. `digest` finds it again, as long as it is valid.

        Raises UNAUTHENTICATED, UNAVAILABLE if the issuer's keys could never be had, and
        KeysPending.
        """
        found = self._verified.get(digest)
        if found and found.version == found.keys.version and time.time() < found.caller.expires:
            self._verified.move_to_end(digest)
            return found.caller
        if len(token) > self._longest:
            raise errors.unauthenticated()
        verified = self._verify(token)
        self._verified[digest] = verified
        if len(self._verified) > _MAX_VERIFIED:
            self._verified.popitem(last=False)
        return verified.caller

    def _verify(self, token: str) -> _Verified:
        try:
            unverified = jwt.decode_complete(token, options=_UNVERIFIED)
            header, issuer = unverified["header"], unverified["payload"].get("iss")
            keys = self._by_issuer.get(issuer) if isinstance(issuer, str) else None
            if keys is None or len(token) > keys.issuer.max_token_bytes:
                raise errors.unauthenticated()
            settings = keys.issuer
            version = keys.version
            kid = header.get("kid")
            if "crit" in header or not isinstance(kid, str | None):
                raise errors.unauthenticated()
            key = keys.find(KeyName(kid, str(header.get("alg"))))
            if key is None:
                raise errors.unauthenticated() if keys.is_known else errors.unavailable(NO_KEYS)
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise errors.token_expired() from None
        except (jwt.PyJWTError, RecursionError):
            # Which rule a token breaks is nothing for whoever made it up.
            raise errors.unauthenticated() from None
        principal = self._principals.get((settings.name, claims["sub"]))
        if principal:
            caller = caller_of(principal, _end(claims, settings))
        else:
            caller = _caller(claims, settings)
        return _Verified(caller, keys, version)


def _caller(claims: Mapping[str, Any], issuer: Issuer) -> Caller:
    """The caller of verified claims. What they grant beyond the issuer's limits does not count."""
    name = f"{issuer.name}:{claims['sub']}"
    tenants = set(_texts(_claim(claims, issuer.tenants_claim), separator=None))
    if part_problem(name):
        raise errors.claim_refused("sub")
    if not tenants:
        raise errors.claim_refused(issuer.tenants_claim)
    limit = None if ALL_TENANTS in issuer.tenants else frozenset(issuer.tenants)
    granted = None if ALL_TENANTS in tenants else frozenset(tenants)
    if granted is None or limit is None:
        common = limit if granted is None else granted
    else:
        common = granted & limit
    return Caller(name, common, _grants(claims, issuer), _end(claims, issuer))


def _end(claims: Mapping[str, Any], issuer: Issuer) -> float:
    """The end of a token, in seconds since 1970."""
    return int(claims["exp"]) + issuer.leeway


def _grants(claims: Mapping[str, Any], issuer: Issuer) -> Grants:
    limit = issuer.grants
    claimed = _claim(claims, issuer.roles_claim) if issuer.roles_claim else None
    if claimed is None:
        return limit
    return roles.common(roles.merged(_parsed(_texts(claimed, separator=" "))), limit)


def _parsed(texts: Iterable[str]) -> Iterator[tuple[roles.Role, roles.Scopes]]:
    """The roles among these texts. Issuers put other words beside them, as `openid`."""
    for text in texts:
        try:
            yield roles.parse(text)
        except ValueError:
            continue


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path of names with dots between them; None if there is none."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(part)
    return value


def _texts(value: Any, separator: str | None) -> Iterator[str]:
    """The texts of a claim: of a list, or of one text, split at the separator if there is one."""
    if isinstance(value, str):
        yield from value.split(separator) if separator else [value]
    elif isinstance(value, list):
        yield from (each for each in cast("list[object]", value) if isinstance(each, str))
