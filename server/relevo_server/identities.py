"""The settings of who may call: principals, each with the ways to recognize it."""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from relevo_server.keys import part_problem
from relevo_server.roles import ADMIN, DEFAULT, Grants, common, merged, parse

Loc = tuple[str | int, ...]
HTTPS = "https://"
_MAX_URI = 2048
_DNS_NAME = r"(?!.{254})[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"

_EMPTY = sha256(b"").hexdigest()
_EXAMPLES = frozenset(
    sha256(token.encode()).hexdigest()
    for token in ("TOKEN", "$TOKEN", "token", "secret", "test", "changeme")
)
"""The digests of tokens that pages show, and of words that stand for a token until somebody
replaces them. Everybody can read these."""


def key_part(value: str) -> str:
    """A part of a key, or a name that keeps the same rules. Raises ValueError."""
    problem = part_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def _digest(value: str) -> str:
    if value == _EMPTY:
        raise ValueError("is the digest of the empty token")
    if value in _EXAMPLES:
        raise ValueError("is the digest of an example, which everybody knows")
    return value


def _certificate(value: str) -> str:
    if "://" in value:
        if not (value.isascii() and value.isprintable() and len(value) <= _MAX_URI):
            raise ValueError(f"must be a URI of at most {_MAX_URI} printable characters")
        return value
    if not re.fullmatch(_DNS_NAME, value.lower()):
        raise ValueError("must be a URI, as spiffe://example/agent, or a DNS name")
    return value.lower()


def _jwks(value: str) -> str:
    if not value or ("://" in value and not value.startswith(HTTPS)):
        raise ValueError("must be a file, or an https URL")
    return value


def _role(value: str) -> str:
    parse(value)
    return value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("must not be empty")
    return values


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$"), AfterValidator(_digest)]
Name = Annotated[str, AfterValidator(key_part)]
RoleTexts = Annotated[tuple[Annotated[str, AfterValidator(_role)], ...], AfterValidator(_some)]
Text = Annotated[str, Field(min_length=1)]


class Principal(BaseModel):
    """A caller that may use the server.

    It is identified by a bearer token, a client certificate, or the subject of an issuer's JWTs.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    name: Name
    """The name that logs and changes show: 1 to 256 bytes without control characters."""
    token_sha256: Digest | None = None
    """The SHA-256 of the token, in lower-case hex; the token itself is not stored."""
    certificate: Annotated[str, AfterValidator(_certificate)] | None = None
    """A name in the caller's certificate: a URI, as spiffe://example/agent, or a DNS name."""
    issuer: Name | None = None
    """The name of one of the `issuers`, whose JWTs for `subject` stand for this caller."""
    subject: Text | None = None
    """The claim `sub` of these JWTs, as system:serviceaccount:NAMESPACE:NAME."""
    expires: AwareDatetime | None = None
    """The end of the token, as 2027-01-31T00:00:00Z; None for never."""
    tenants: tuple[str, ...]
    """The tenants that the caller may use; "*" for all."""
    roles: RoleTexts | None = None
    """The caller's roles: `read`, `write`, `invalidate`, `admin`, each for all scopes, or for
    one, as `read:agent_config`. None stands for read, write and invalidate."""
    admin: bool = False
    """Deprecated: the role `admin`, for all scopes, beside `roles`."""

    @model_validator(mode="after")
    def _recognizable(self) -> Self:
        if (self.issuer is None) != (self.subject is None):
            missing = "issuer" if self.issuer is None else "subject"
            raise wrong([((missing,), "must be given: issuer and subject go together")])
        if self.token_sha256 is None:
            if self.certificate is None and self.issuer is None:
                ways = "must be given, or certificate, or issuer and subject"
                raise wrong([(("token_sha256",), ways)])
            if self.expires is not None:
                text = "needs token_sha256: certificates and JWTs have ends of their own"
                raise wrong([(("expires",), text)])
        return self

    @property
    def grants(self) -> Grants:
        """The scopes of each role."""
        texts = DEFAULT if self.roles is None else self.roles
        return merged(map(parse, (*texts, *([ADMIN] if self.admin else []))))


Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip


class Issuer(BaseModel):
    """An issuer of JWTs that the server trusts, within limits."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    name: Name
    """The first part of its callers' names, NAME:SUBJECT, which logs and changes show."""
    issuer: Text
    """The claim `iss` of its tokens."""
    audience: Text
    """The value that the claim `aud` has to be, or to have in its list."""
    jwks: Annotated[str, AfterValidator(_jwks)]
    """A file with its public keys, or an https URL."""
    jwks_ca: Path | None = None
    """PEM file of the CA of that URL's certificate; None for the system's authorities."""
    jwks_token_file: Path | None = None
    """File with a bearer token for that URL, which is read at each fetch; None for none."""
    jwks_refresh: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """Seconds after which the keys are fetched again."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    """The algorithms by which tokens may be signed."""
    leeway: Annotated[float, Field(ge=0, le=300)] = 30.0
    """Seconds by which clocks may differ: a token begins earlier and ends later by as much."""
    max_token_bytes: Annotated[int, Field(gt=0, le=16384)] = 4096
    """The longest token."""
    tenants_claim: Text = "relevo_tenants"
    """The claim with the tenants: a text or a list, `*` for all; a path has dots."""
    roles_claim: Text = "relevo_roles"
    """The claim with the roles, as `roles` has them: a list, or a text with spaces between."""
    tenants: Annotated[tuple[str, ...], AfterValidator(_some)] = ("*",)
    """The tenants that its tokens may open at most; "*" for all."""
    roles: RoleTexts = DEFAULT
    """The most that its tokens may allow, which is also what a token without the claim allows."""

    @model_validator(mode="after")
    def _fetched_from_a_url(self) -> Self:
        if not self.jwks.startswith(HTTPS):
            for name in ("jwks_ca", "jwks_token_file"):
                if getattr(self, name):
                    raise wrong([((name,), "needs an https URL in jwks")])
        return self

    @property
    def grants(self) -> Grants:
        """The scopes of each role."""
        return merged(map(parse, self.roles))


def wrong(problems: Iterable[tuple[Loc, str]]) -> ValidationError:
    """The error for these settings, each with the path of its field. Quotes no values."""
    return ValidationError.from_exception_data(
        "Settings",
        [
            InitErrorDetails(
                type=PydanticCustomError("setting", "{text}", {"text": text}), loc=loc, input=None
            )
            for loc, text in problems
        ],
        hide_input=True,
    )


def apart(principals: tuple[Principal, ...]) -> tuple[Principal, ...]:
    """The principals, if each has a name and a proof of its own. Raises ValidationError."""
    subjects = [(each.issuer, each.subject) if each.subject else None for each in principals]
    problems = [
        *_repeated("principals", "name", [each.name for each in principals]),
        *_repeated("principals", "token_sha256", [each.token_sha256 for each in principals]),
        *_repeated("principals", "certificate", [each.certificate for each in principals]),
        *_repeated("principals", "subject", subjects),
    ]
    if problems:
        raise wrong(problems)
    return principals


def distinct(issuers: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
    """The issuers, if each has a name and a claim `iss` of its own. Raises ValidationError."""
    problems = [
        *_repeated("issuers", "name", [each.name for each in issuers]),
        *_repeated("issuers", "issuer", [each.issuer for each in issuers]),
    ]
    if problems:
        raise wrong(problems)
    return issuers


def conflicts(
    principals: Iterable[Principal], issuers: Iterable[Issuer]
) -> Iterator[tuple[Loc, str]]:
    """The principals that do not go with the issuers.

    Their names could be those of tokens too, their issuer is none of these, or they may do more
    than the issuer allows.
    """
    known = {each.name: each for each in issuers}
    for i, each in enumerate(principals):
        before, colon, _ = each.name.partition(":")
        if colon and before in known:
            yield (
                ("principals", i, "name"),
                "could be that of a token: an issuer has its first part",
            )
        if each.issuer is None:
            continue
        issuer = known.get(each.issuer)
        if issuer is None:
            yield ("principals", i, "issuer"), "is the name of none of the issuers"
            continue
        if not ("*" in issuer.tenants or set(each.tenants) <= set(issuer.tenants)):
            yield ("principals", i, "tenants"), "has some that the issuer does not allow"
        if common(each.grants, issuer.grants) != each.grants:
            yield ("principals", i, "roles"), "has some that the issuer does not allow"


def _repeated(
    setting: str, field: str, values: Iterable[object | None]
) -> Iterator[tuple[Loc, str]]:
    first: dict[object, int] = {}
    for i, value in enumerate(values):
        if value is not None and first.setdefault(value, i) != i:
            yield (i, field), f"is that of {setting}.{first[value]} too"
