"""JWTs: which are accepted, and what their claims grant."""

import base64
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc import StatusCode
from pydantic import ValidationError
from relevo.v1 import store_pb2
from relevo_server.access import jwts
from relevo_server.access.access import Access
from relevo_server.errors import StoreError
from relevo_server.settings import Settings
from support.clients.access import Showing, bearer, principal
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.tokens import TokenIssuer, private_key
from support.failures import Failure, failure_of
from support.servers.serving import serving


@pytest.fixture
def store_url() -> str:
    """Memory, as tokens are the same for every backend."""
    return "memory://"


@pytest.fixture
async def stub(settings: Settings, issuer: TokenIssuer) -> AsyncIterator[Stub]:
    """The stub of a server that trusts the issuer, and knows one principal."""
    known = {"issuers": (issuer.settings(),), "principals": (principal("plain", "acme"),)}
    async with serving(settings.model_copy(update=known)) as stub:
        yield stub


async def put(stub: Stub, token: str, tenant: str = "acme", **rest: Any) -> Failure | None:
    """The failure of a Put with a token; None if it succeeds."""
    request = store_pb2.PutRequest(key=key(tenant=tenant, **rest), context=context())
    call = stub.Put(request, metadata=bearer(token), timeout=TIMEOUT)
    if await call.code() is StatusCode.OK:
        return None
    return await failure_of(call)


async def refusal(stub: Stub, token: str) -> str:
    """The text with which a token is refused; "" if it is accepted."""
    failure = await put(stub, token)
    if failure is None:
        return ""
    assert (failure.code, failure.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert token not in failure.message
    return failure.message


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_signed_token(stub: Stub, issuer: TokenIssuer, algorithm: str) -> None:
    """A token that is signed by a published key opens the tenants of its claim, and no others."""
    issuer.rotate(algorithm, algorithm)
    assert await put(stub, issuer.token()) is None
    denied = await put(stub, issuer.token(), tenant="globex")
    assert denied
    assert (denied.code, denied.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")


async def test_beside_principals(stub: Stub, issuer: TokenIssuer) -> None:
    """Hashed tokens and JWTs are accepted side by side; a call without any is not."""
    assert await put(stub, issuer.token()) is None
    assert await put(stub, "plain") is None
    assert await refusal(stub, "neither")


BROKEN: Mapping[str, Mapping[str, Any]] = {
    "another audience": {"aud": "others"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://elsewhere.example"},
    "no issuer": {"iss": None},
    "an issuer that is no text": {"iss": ["https://sso.example"]},
    "no end": {"exp": None},
    "not yet": {"nbf": time.time() + 3600},
    "no subject": {"sub": None},
    "an unknown key": {"header": {"kid": "nobody"}},
    "an id that is no text": {"header": {"crit": ["x"]}},
}


@pytest.mark.parametrize("claims", BROKEN.values(), ids=BROKEN.keys())
async def test_a_token_that_breaks_a_rule(
    stub: Stub, issuer: TokenIssuer, claims: Mapping[str, Any]
) -> None:
    """A token with a missing or wrong claim or header is UNAUTHENTICATED."""
    assert await refusal(stub, issuer.token(**claims))
    assert not await refusal(stub, issuer.token())


def encoded(value: Any) -> str:
    """A part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


async def test_a_token_that_nobody_signed(stub: Stub, issuer: TokenIssuer) -> None:
    """No signature, another's signature, and an HMAC with the public key open nothing."""
    sound = issuer.token()
    head, body, signature = sound.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    _, private = issuer.keys["first"]
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims_for_all = encoded({**claims, "relevo_tenants": ["*"]})
    deep = b"[" * 2000 + b"]" * 2000
    forged = [
        f"{encoded({'alg': 'none', 'kid': 'first'})}.{body}.",
        f"{head}.{body}.",
        f"{head}.{claims_for_all}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        jwt.encode(claims, private_key("ES256"), "ES256", headers={"kid": "first"}),
        f"{encoded({'alg': 'HS256', 'kid': 'first'})}.{body}.{encoded(public)}",
        f"{encoded({'alg': ['ES256'], 'kid': 'first'})}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': ['first']})}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': 'first', 'b64': False})}.{body}.{signature}",
        f"{encoded(b'[]')}.{body}.{signature}",
        f"{encoded(deep)}.{body}.{signature}",
        f"{head}.{encoded(deep)}.{signature}",
        f"{head}.{encoded(b'[]')}.{signature}",
        "..",
        "a.b.c",
    ]
    for token in forged:
        assert await refusal(stub, token), token
    assert not await refusal(stub, sound)


def mutated(token: str, chance: random.Random) -> str:
    """A token with some characters, or a whole part of its JSON, replaced."""
    parts = token.split(".")
    place = chance.randrange(len(parts))
    raw = bytearray(base64.urlsafe_b64decode(parts[place] + "=" * (-len(parts[place]) % 4)))
    for _ in range(chance.randint(1, 4)):
        raw[chance.randrange(len(raw))] = chance.choice(b'\x00\xff"{}[],:0a.-')
    parts[place] = encoded(bytes(raw))
    if chance.random() < 0.2:
        parts[chance.randrange(len(parts))] = "".join(chance.choices("ab-_=.%A9", k=20))
    return ".".join(parts)


async def test_mutated_tokens(issuer: TokenIssuer) -> None:
    """Whatever is changed in a token, its call is UNAUTHENTICATED, and never a defect."""
    access = Access([], [issuer.settings()])
    await access.begin()
    sound, chance = issuer.token(), random.Random(0)  # noqa: S311 - the same tokens each time
    assert (await access.authenticate(Showing(sound))).name == "sso:alice"
    for _ in range(2000):
        token = mutated(sound, chance)
        if token == sound:
            continue
        with pytest.raises(StoreError) as caught:
            await access.authenticate(Showing(token))
        assert caught.value.code is StatusCode.UNAUTHENTICATED, token
    await access.close()


async def test_an_expired_token(stub: Stub, issuer: TokenIssuer) -> None:
    """A token that has expired is refused with a text that says so, also if it was accepted."""
    assert "has expired" in await refusal(stub, issuer.token(exp=time.time() - 2))


async def test_clocks_that_differ(settings: Settings, issuer: TokenIssuer) -> None:
    """Within `leeway`, a token begins earlier and ends later."""
    known = {"issuers": (issuer.settings(leeway=60),)}
    async with serving(settings.model_copy(update=known)) as stub:
        now = time.time()
        assert not await refusal(stub, issuer.token(exp=now - 30))
        assert not await refusal(stub, issuer.token(nbf=now + 30))
        assert "has expired" in await refusal(stub, issuer.token(exp=now - 90))
        assert await refusal(stub, issuer.token(nbf=now + 90))


async def test_a_long_token(settings: Settings, issuer: TokenIssuer) -> None:
    """A token of more than `max_token_bytes` is refused unread."""
    sound = issuer.token()
    known = {"issuers": (issuer.settings(max_token_bytes=len(sound)),)}
    async with serving(settings.model_copy(update=known)) as stub:
        assert not await refusal(stub, sound)
        assert await refusal(stub, issuer.token(filler="x" * 100))


@pytest.mark.parametrize(
    "limits, claims, tenant, role",
    [
        ({}, {}, "", ""),
        ({}, {"relevo_tenants": "acme"}, "", ""),
        ({}, {"relevo_tenants": "*"}, "", ""),
        ({}, {"relevo_tenants": ["globex", 7, None]}, "acme", ""),
        ({"tenants": ["globex"]}, {"relevo_tenants": ["*"]}, "acme", ""),
        ({"tenants": ["globex"]}, {"relevo_tenants": ["acme"]}, "acme", ""),
        ({"tenants": ["acme", "globex"]}, {}, "", ""),
        ({"tenants_claim": "https://a.example/t"}, {"https://a.example/t": ["acme"]}, "", ""),
        ({"tenants_claim": "app.tenants"}, {"app": {"tenants": ["acme"]}}, "", ""),
        ({}, {"relevo_roles": ["read"]}, "", "write"),
        ({}, {"relevo_roles": []}, "", "write"),
        ({}, {"relevo_roles": "openid write:conversation email"}, "", ""),
        ({}, {"relevo_roles": ["write:agent_config"]}, "", "write"),
        ({"roles": ["read"]}, {"relevo_roles": ["read", "write"]}, "", "write"),
        ({"roles": ["read"]}, {}, "", "write"),
        ({"roles": ["write:conversation"]}, {"relevo_roles": ["write"]}, "", ""),
        ({"roles": ["write:agent_config"]}, {"relevo_roles": ["write:conversation"]}, "", "write"),
        ({"roles_claim": "realm.roles"}, {"realm": {"roles": ["write"]}}, "", ""),
    ],
)
async def test_what_claims_grant(
    settings: Settings,
    issuer: TokenIssuer,
    limits: Mapping[str, Any],
    claims: Mapping[str, Any],
    tenant: str,
    role: str,
) -> None:
    """A token grants what its claims say, within the tenants and the roles of its issuer."""
    known = {"issuers": (issuer.settings(**limits),)}
    async with serving(settings.model_copy(update=known)) as stub:
        failure = await put(stub, issuer.token(**claims))
    if tenant:
        assert failure
        assert (failure.reason, failure.metadata) == ("TENANT_DENIED", {"tenant_id": tenant})
    elif role:
        assert failure
        assert failure.reason == "ROLE_DENIED"
        assert failure.metadata == {"role": role, "scope": "conversation"}
    else:
        assert failure is None


async def test_a_token_without_tenants(stub: Stub, issuer: TokenIssuer) -> None:
    """A token without the claim of tenants is refused, and the claim is named."""
    unusable: tuple[Any, ...] = (None, [], 7)
    for missing in unusable:
        assert "relevo_tenants" in await refusal(stub, issuer.token(relevo_tenants=missing))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures are checked from now on."""
    verified: list[str] = []
    decode = jwt.decode

    def spied(token: str, *args: Any, **options: Any) -> Any:
        verified.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", spied)
    return verified


async def test_a_token_is_verified_once(
    stub: Stub, issuer: TokenIssuer, verified: list[str]
) -> None:
    """The signature of a token is checked once; later calls find it by its digest."""
    token = issuer.token()
    for _ in range(5):
        assert await put(stub, token) is None
    assert verified == [token]


async def test_verified_tokens_are_bounded(
    stub: Stub, issuer: TokenIssuer, verified: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only some verified tokens are remembered: those that were used last."""
    monkeypatch.setattr(jwts, "_MAX_VERIFIED", 2)
    one, two, three = (issuer.token(sub=name) for name in ("one", "two", "three"))
    for token in (one, two, one, three, one, two):
        assert await put(stub, token) is None
    assert verified == [one, two, three, two]


def known(**values: Any) -> dict[str, Any]:
    """An issuer in the settings."""
    return {"name": "a", "issuer": "https://a", "audience": "r", "jwks": "k.json", **values}


@pytest.mark.parametrize(
    "issuers, field",
    [
        ([known(jwks="http://a/keys")], "issuers.0.jwks"),
        ([known(jwks="")], "issuers.0.jwks"),
        ([known(algorithms=["HS256"])], "issuers.0.algorithms"),
        ([known(algorithms=["none"])], "issuers.0.algorithms"),
        ([known(algorithms=[])], "issuers.0.algorithms"),
        ([known(leeway=-1)], "issuers.0.leeway"),
        ([known(audience="")], "issuers.0.audience"),
        ([known(jwks_ca="ca.pem")], "issuers.0.jwks_ca"),
        ([known(jwks_token_file=Path("token"))], "issuers.0.jwks_token_file"),
        ([known(roles=["owner"])], "issuers.0.roles"),
        ([known(), known(name="b")], "issuers.1.issuer"),
        ([known(), known(issuer="https://b")], "issuers.1.name"),
    ],
)
def test_issuers_that_are_refused(issuers: list[Any], field: str) -> None:
    """A wrong setting of an issuer is named. There is no way to allow an HMAC, or no signature."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"issuers": issuers})
    assert ".".join(map(str, caught.value.errors()[0]["loc"])).startswith(field)


def test_a_principal_is_no_token() -> None:
    """No principal may have a name that a token could have: changes would name the wrong one."""
    principals = [principal("x", "acme", name="a:alice").model_dump()]
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"issuers": [known()], "principals": principals})
    assert caught.value.errors()[0]["loc"] == ("principals", 0, "name")
