"""Client certificates: the names in them, and whose they are."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc import aio
from pydantic import ValidationError
from relevo.v1 import store_pb2_grpc
from relevo.v1.store_pb2 import GetRequest
from relevo_server.identities import Principal
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, key
from support.failures import Failure, failure_of
from support.network.certificates import Pair
from support.network.named import Authority, Shown, dns, uri

AGENT, HOST = "spiffe://example/agent", "agent.example"
PRINCIPALS = (
    Principal(name="agent", certificate=AGENT, tenants=("acme",)),
    Principal(name="host", certificate="Agent.Example", tenants=("globex",)),
    principal("both", "initech", certificate="spiffe://example/both"),
)


@pytest.fixture
def store_url() -> str:
    """Memory, as certificates are the same for every backend."""
    return "memory://"


@pytest.fixture
async def server(settings: Settings, tls: dict[str, Path]) -> AsyncIterator[Server]:
    """A server that knows the owners of some certificates."""
    known = {"principals": PRINCIPALS, **tls}
    async with Server(settings.model_copy(update=known)) as running:
        yield running


async def outcome(
    server: Server, own: Shown, pair: Pair, tenant: str, metadata: Any = ()
) -> Failure:
    """The end of a Get of nothing, over a connection with a certificate."""
    credentials = grpc.ssl_channel_credentials(pair.certificate_pem, *own)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.secure_channel(server.address, credentials, options) as channel:
        untyped: Any = channel
        stub: Any = store_pb2_grpc.ContextStoreStub(untyped)
        request = GetRequest(key=key(tenant=tenant))
        return await failure_of(stub.Get(request, metadata=metadata, timeout=TIMEOUT))


Names = Sequence[x509.GeneralName]
NAMES: Mapping[str, tuple[Names, str, str]] = {
    "a SPIFFE id": (uri(AGENT), "acme", "NO_ENTRY"),
    "a SPIFFE id, elsewhere": (uri(AGENT), "globex", "TENANT_DENIED"),
    "a DNS name": (dns(HOST), "globex", "NO_ENTRY"),
    "a DNS name in capitals": (dns(HOST.upper()), "globex", "NO_ENTRY"),
    "one of several DNS names": (dns("other.example", HOST), "globex", "NO_ENTRY"),
    "a longer id": (uri(f"{AGENT}/more"), "acme", "UNAUTHENTICATED"),
    "a longer name": (dns(f"more.{HOST}"), "globex", "UNAUTHENTICATED"),
    "a wildcard": (dns("*.example"), "globex", "UNAUTHENTICATED"),
    "an id as a DNS name": (dns(AGENT), "acme", "UNAUTHENTICATED"),
    "a DNS name as an id": (uri(HOST), "globex", "UNAUTHENTICATED"),
    "two ids": (uri(AGENT, "spiffe://example/x"), "acme", "UNAUTHENTICATED"),
    "two principals": ([*uri(AGENT), *dns(HOST)], "acme", "UNAUTHENTICATED"),
    "no name": ((), "acme", "UNAUTHENTICATED"),
}


@pytest.mark.parametrize("names, tenant, reason", NAMES.values(), ids=NAMES.keys())
async def test_whose_a_certificate_is(
    server: Server, pair: Pair, signer: Authority, names: Names, tenant: str, reason: str
) -> None:
    """A certificate stands for the principal that has its URI, or one of its DNS names.

    Nothing else in it does, and it stands for nobody if it could stand for two.
    """
    assert (await outcome(server, signer.signed(*names), pair, tenant)).reason == reason


async def test_beside_a_token(server: Server, pair: Pair, signer: Authority) -> None:
    """A principal with both may show either. A call that shows a token is judged by it alone."""
    both = signer.signed(*uri("spiffe://example/both"))
    agent = signer.signed(*uri(AGENT))
    cases = (
        (both, (), "initech", "NO_ENTRY"),
        (agent, bearer("both"), "initech", "NO_ENTRY"),
        (agent, bearer("both"), "acme", "TENANT_DENIED"),
        (agent, bearer("nobody"), "acme", "UNAUTHENTICATED"),
        (agent, (("authorization", "Basic x"),), "acme", "UNAUTHENTICATED"),
    )
    for own, metadata, tenant, reason in cases:
        found = await outcome(server, own, pair, tenant, metadata)
        assert found.reason == reason, (metadata, tenant)


@pytest.mark.parametrize(
    "values, field",
    [
        ({}, "principals.0.token_sha256"),
        ({"certificate": "*.example"}, "principals.0.certificate"),
        ({"certificate": "an agent"}, "principals.0.certificate"),
        ({"certificate": "spiffe://a/\n"}, "principals.0.certificate"),
        ({"certificate": HOST, "expires": "2030-01-01T00:00:00Z"}, "principals.0.expires"),
        ({"certificate": HOST}, "principals.0.certificate"),
    ],
    ids=["no way", "wildcard", "no name", "control character", "end of a token", "no client CA"],
)
def test_principals_that_are_refused(values: Mapping[str, Any], field: str) -> None:
    """A principal needs a token or a name, and a name needs the CA that certificates come from."""
    known = {"name": "a", "tenants": ["acme"], **values}
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"principals": [known]})
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == field


def test_each_has_a_certificate_of_its_own() -> None:
    """Two principals with one name in their certificates are refused."""
    known = [
        {"name": name, "tenants": ["acme"], "certificate": certificate}
        for name, certificate in (("a", HOST), ("b", HOST.upper()))
    ]
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"principals": known})
    assert caught.value.errors()[0]["loc"] == ("principals", 1, "certificate")
