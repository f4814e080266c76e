"""Principals that are the subjects of an issuer's JWTs, which need no claims about tenants."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from pydantic import ValidationError
from relevo.v1.store_pb2 import GetRequest, PutRequest
from relevo_server.access.access import Access
from relevo_server.errors import StoreError
from relevo_server.identities import Principal
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import Showing, bearer, principal
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.tokens import NAME, TokenIssuer
from support.failures import failure_of
from support.servers.serving import stub_of

SUBJECT = "system:serviceaccount:prod:agent"
KUBERNETES: dict[str, Any] = {
    "sub": SUBJECT,
    "relevo_tenants": None,
    "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "agent", "uid": "4f6e"}},
}
"""The claims of a service account, beside those that every token has."""


def kubernetes(claims: dict[str, Any]) -> dict[str, Any]:
    """Those claims, but for these."""
    return {**KUBERNETES, **claims}


AGENT = Principal(
    name="agent",
    issuer=NAME,
    subject=SUBJECT,
    tenants=("acme",),
    roles=("read", "write:conversation"),
)


@pytest.fixture
def store_url() -> str:
    """Memory, as tokens are the same for every backend."""
    return "memory://"


@pytest.fixture
def known(settings: Settings, issuer: TokenIssuer) -> Settings:
    """The settings of a server that knows one subject of the issuer."""
    return settings.model_copy(update={"issuers": (issuer.settings(),), "principals": (AGENT,)})


@pytest.fixture
async def server(known: Settings) -> AsyncIterator[Server]:
    """The server."""
    async with Server(known) as server:
        yield server


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """Its stub."""
    async with stub_of(server.address) as stub:
        yield stub


async def put(stub: Stub, token: str, **rest: Any) -> str:
    """The reason with which a Put with a token fails; "" if it succeeds."""
    request = PutRequest(key=key(**rest), context=context())
    call = stub.Put(request, metadata=bearer(token), timeout=TIMEOUT)
    return "" if await call.code() is StatusCode.OK else (await failure_of(call)).reason


async def test_what_a_subject_may_do(stub: Stub, issuer: TokenIssuer) -> None:
    """A token without claims about tenants has the tenants and roles of its subject's principal."""
    token = issuer.token(**KUBERNETES)
    assert await put(stub, token) == ""
    assert await put(stub, token, tenant="globex") == "TENANT_DENIED"
    assert await put(stub, token, scope="agent_config") == "ROLE_DENIED"


async def test_claims_grant_a_known_subject_nothing(stub: Stub, issuer: TokenIssuer) -> None:
    """The claims of a known subject neither add to what the settings say, nor take from it."""
    more = issuer.token(**kubernetes({"relevo_tenants": ["*"], "relevo_roles": ["write"]}))
    assert await put(stub, more, tenant="globex") == "TENANT_DENIED"
    assert await put(stub, more, scope="agent_config") == "ROLE_DENIED"
    less = issuer.token(**kubernetes({"relevo_tenants": ["globex"], "relevo_roles": ["read"]}))
    assert await put(stub, less) == ""


async def test_other_subjects(stub: Stub, issuer: TokenIssuer) -> None:
    """Another subject needs the claims, however it resembles a known one."""
    for other in (f"{SUBJECT}2", SUBJECT[:-1], SUBJECT.upper(), f" {SUBJECT}", "agent"):
        assert await put(stub, issuer.token(**kubernetes({"sub": other}))) == "UNAUTHENTICATED"
    assert await put(stub, issuer.token(sub="agent")) == ""


async def test_another_issuer(issuer: TokenIssuer, tmp_path: Path) -> None:
    """A subject is known of its own issuer only. Its name is the principal's."""
    second = TokenIssuer(tmp_path / "second.json")
    second.rotate("first")
    elsewhere: dict[str, Any] = {"iss": "https://second.example"}
    issuers = [
        issuer.settings(),
        second.settings(name="second", issuer=elsewhere["iss"]),
    ]
    access = Access([AGENT], issuers)
    await access.begin()
    assert (await access.authenticate(Showing(issuer.token(**KUBERNETES)))).name == "agent"
    with pytest.raises(StoreError):
        await access.authenticate(Showing(second.token(**KUBERNETES, **elsewhere)))
    claiming = second.token(**kubernetes({"relevo_tenants": ["acme"]}), **elsewhere)
    assert (await access.authenticate(Showing(claiming))).name == f"second:{SUBJECT}"
    await access.close()


async def test_the_end_of_a_token(issuer: TokenIssuer) -> None:
    """The token of a known subject ends as every token does, and so do its streams."""
    access = Access([AGENT], [issuer.settings()])
    await access.begin()
    end = int(time.time()) + 60
    assert (await access.authenticate(Showing(issuer.token(**KUBERNETES, exp=end)))).expires == end
    with pytest.raises(StoreError, match="has expired"):
        await access.authenticate(Showing(issuer.token(**KUBERNETES, exp=time.time() - 2)))
    await access.close()


async def test_a_subject_that_is_removed(
    server: Server, stub: Stub, known: Settings, issuer: TokenIssuer
) -> None:
    """A reload without the principal ends what its subject may do, also for known tokens."""
    token = issuer.token(**KUBERNETES)
    assert await put(stub, token) == ""
    await server.reload(known.model_copy(update={"principals": (principal("else", "acme"),)}))
    assert await put(stub, token) == "UNAUTHENTICATED"
    await server.reload(known)
    call = stub.Get(GetRequest(key=key()), metadata=bearer(token), timeout=TIMEOUT)
    assert await call.code() is StatusCode.OK


ISSUER: dict[str, Any] = {
    "name": "cluster",
    "issuer": "https://kubernetes.default.svc",
    "audience": "relevo",
    "jwks": "jwks.json",
    "tenants": ["acme", "globex"],
    "roles": ["read", "write:conversation"],
}
BY_SUBJECT: dict[str, Any] = {
    "name": "agent",
    "issuer": "cluster",
    "subject": SUBJECT,
    "tenants": ["acme"],
    "roles": ["read"],
}


@pytest.mark.parametrize(
    "principals, field",
    [
        ([BY_SUBJECT | {"subject": None}], "principals.0.subject"),
        ([BY_SUBJECT | {"issuer": None}], "principals.0.issuer"),
        ([BY_SUBJECT | {"issuer": "another"}], "principals.0.issuer"),
        ([BY_SUBJECT | {"subject": ""}], "principals.0.subject"),
        ([BY_SUBJECT | {"expires": "2030-01-01T00:00:00Z"}], "principals.0.expires"),
        ([BY_SUBJECT | {"tenants": ["*"]}], "principals.0.tenants"),
        ([BY_SUBJECT | {"tenants": ["acme", "initech"]}], "principals.0.tenants"),
        ([BY_SUBJECT | {"roles": ["write"]}], "principals.0.roles"),
        ([BY_SUBJECT | {"roles": ["admin"]}], "principals.0.roles"),
        ([BY_SUBJECT | {"roles": None}], "principals.0.roles"),
        ([BY_SUBJECT, BY_SUBJECT | {"name": "other"}], "principals.1.subject"),
    ],
)
def test_subjects_that_are_refused(principals: list[Any], field: str) -> None:
    """A subject needs its issuer, and may do no more than that one allows."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"issuers": [ISSUER], "principals": principals})
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert SUBJECT not in str(caught.value)


def test_one_subject_of_two_issuers() -> None:
    """Principals may be the same subject of several issuers, and have a token beside it."""
    other = ISSUER | {"name": "other", "issuer": "https://other", "tenants": ["*"]}
    principals = [
        BY_SUBJECT,
        BY_SUBJECT | {"name": "two", "issuer": "other", "token_sha256": "0" * 64},
    ]
    Settings.model_validate({"issuers": [ISSUER, other], "principals": principals})
