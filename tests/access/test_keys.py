"""The keys of issuers: from a file or a URL, rotated, or unreachable."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import GetRequest
from relevo_server.access import jwks, keysets
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, Stub, key
from support.clients.tokens import TokenIssuer, private_key, public_jwk
from support.failures import failure_of
from support.network.certificates import Pair
from support.servers.jwks import KeyServer
from support.servers.serving import serving, stub_of
from support.waiting import until_async


@pytest.fixture
def store_url() -> str:
    """Memory, as keys are the same for every backend."""
    return "memory://"


@pytest.fixture
def no_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are not known are asked for each time."""
    monkeypatch.setattr(keysets, "COOLDOWN", 0.0)


@pytest.fixture
def key_server(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    """A web server for keys, whose certificate this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
    with KeyServer(pair).running() as server:
        yield server


async def reason(stub: Stub, token: str) -> str:
    """The reason with which a Get of nothing ends: NO_ENTRY if the token is accepted."""
    call = stub.Get(GetRequest(key=key()), metadata=bearer(token), timeout=TIMEOUT)
    return (await failure_of(call)).reason


@pytest.mark.usefixtures("no_cooldown")
async def test_a_rotated_file(settings: Settings, issuer: TokenIssuer) -> None:
    """A key that is new in the file is found when a token names it, and no call is refused."""
    known = {"issuers": (issuer.settings(),)}
    async with serving(settings.model_copy(update=known)) as stub:
        before = issuer.token()
        assert await reason(stub, before) == "NO_ENTRY"
        issuer.rotate("second")
        assert await reason(stub, issuer.token()) == "NO_ENTRY"
        assert await reason(stub, before) == "NO_ENTRY"


@pytest.mark.usefixtures("no_cooldown")
async def test_a_key_that_is_withdrawn(settings: Settings, issuer: TokenIssuer) -> None:
    """Tokens of a key that is no longer published are void, even if they were accepted before."""
    known = {"issuers": (issuer.settings(),)}
    async with serving(settings.model_copy(update=known)) as stub:
        before = issuer.token()
        assert await reason(stub, before) == "NO_ENTRY"
        issuer.rotate("second", is_published=False)
        issuer.publish("second")
        assert await reason(stub, issuer.token()) == "NO_ENTRY"
        assert await reason(stub, before) == "UNAUTHENTICATED"


async def test_a_url_that_asks_for_a_token(
    settings: Settings, issuer: TokenIssuer, pair: Pair, tmp_path: Path
) -> None:
    """A URL may have a CA of its own and ask for a token, whose file is read at each fetch.

    So it is with the keys of Kubernetes, within a cluster.
    """
    token = tmp_path / "token"
    with KeyServer(pair).running() as own:
        own.document = issuer.document("first")
        known = issuer.settings(jwks=own.url, jwks_ca=pair.certificate, jwks_token_file=token)
        for each in ("one", "two"):
            own.token = each
            token.write_text(f"{each}\n")
            keys = jwks.parse(jwks.read(known), ["ES256"])
            assert keys.left_out == ()
        own.token = "three"  # noqa: S105 - a test's own
        with pytest.raises(OSError, match="401"):
            jwks.read(known)
        async with serving(settings.model_copy(update={"issuers": (known,)})) as stub:
            assert await reason(stub, issuer.token()) == "STORE_UNAVAILABLE"


@pytest.mark.parametrize("content", [None, "", "two\nlines", "\xe9", "\x00"])
def test_a_token_for_keys_that_cannot_be_used(
    issuer: TokenIssuer, tmp_path: Path, content: str | None
) -> None:
    """A token for keys that no header can hold is refused with the setting, and is not quoted."""
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content, "latin-1")
    known = issuer.settings(jwks="https://127.0.0.1:1/keys", jwks_token_file=token)
    with pytest.raises(ValueError, match=r"^jwks_token_file: (is no token|No such file)"):
        jwks.read(known)


def test_a_ca_for_keys_that_cannot_be_used(issuer: TokenIssuer, tmp_path: Path) -> None:
    """A CA for keys that is none is refused with the setting."""
    authority = tmp_path / "ca.pem"
    known = issuer.settings(jwks="https://127.0.0.1:1/keys", jwks_ca=authority)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^jwks_ca: "):
            jwks.read(known)
        authority.write_text("no certificate")


async def test_strangers_cause_few_fetches(
    settings: Settings, issuer: TokenIssuer, key_server: KeyServer
) -> None:
    """Tokens that name unknown keys cause one fetch in some seconds, however many they are."""
    key_server.document = issuer.document("first")
    known = {"issuers": (issuer.settings(jwks=key_server.url),)}
    async with Server(settings.model_copy(update=known)) as server, stub_of(server.address) as stub:
        await until_async(lambda: key_server.requests == 1, what="the first fetch")
        forged = [issuer.token(header={"kid": f"k{i}"}) for i in range(50)]
        found = await asyncio.gather(*(reason(stub, each) for each in forged))
        assert set(found) == {"UNAUTHENTICATED"}
        assert key_server.requests == 2
        assert await reason(stub, issuer.token()) == "NO_ENTRY"


@pytest.mark.usefixtures("no_cooldown")
async def test_only_some_wait(
    settings: Settings, issuer: TokenIssuer, key_server: KeyServer
) -> None:
    """While keys are fetched, calls of others are answered, and only some of strangers wait."""
    key_server.document = issuer.document("first")
    known = {
        "issuers": (issuer.settings(jwks=key_server.url),),
        "principals": (principal("plain", "acme"),),
    }
    async with Server(settings.model_copy(update=known)) as server, stub_of(server.address) as stub:
        assert await reason(stub, issuer.token()) == "NO_ENTRY"
        key_server.gate.clear()
        waiting = [
            asyncio.create_task(reason(stub, issuer.token(header={"kid": f"k{i}"})))
            for i in range(130)
        ]
        refused, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert {each.result() for each in refused} == {"TOO_MANY_REQUESTS"}
        assert await reason(stub, "plain") == "NO_ENTRY"
        assert await reason(stub, issuer.token()) == "NO_ENTRY"
        key_server.gate.set()
        found = await asyncio.gather(*waiting)
        assert found.count("TOO_MANY_REQUESTS") == 30
        assert found.count("UNAUTHENTICATED") == 100


@pytest.mark.usefixtures("no_cooldown")
async def test_keys_that_cannot_be_had(
    settings: Settings, issuer: TokenIssuer, key_server: KeyServer
) -> None:
    """Without the keys of a URL the server starts. JWTs are UNAVAILABLE until they are there."""
    known = {
        "issuers": (issuer.settings(jwks=key_server.url),),
        "principals": (principal("plain", "acme"),),
    }
    async with Server(settings.model_copy(update=known)) as server, stub_of(server.address) as stub:
        assert await reason(stub, "plain") == "NO_ENTRY"
        call = stub.Get(GetRequest(key=key()), metadata=bearer(issuer.token()), timeout=TIMEOUT)
        failure = await failure_of(call)
        assert failure.code is StatusCode.UNAVAILABLE
        key_server.document = issuer.document("first")
        assert await reason(stub, issuer.token()) == "NO_ENTRY"
        key_server.document = ""
        assert await reason(stub, issuer.token(header={"kid": "x"})) == "UNAUTHENTICATED"
        assert await reason(stub, issuer.token()) == "NO_ENTRY", "known keys outlive an outage"


@pytest.mark.usefixtures("no_cooldown")
async def test_a_redirect_is_not_followed(
    settings: Settings, issuer: TokenIssuer, key_server: KeyServer, pair: Pair
) -> None:
    """Keys come from the URL of the settings only, wherever it sends the server."""
    with KeyServer(pair).running() as other:
        other.document = issuer.document("first")
        key_server.redirect = other.url
        known = {"issuers": (issuer.settings(jwks=key_server.url),)}
        copied = settings.model_copy(update=known)
        async with Server(copied) as server, stub_of(server.address) as stub:
            assert await reason(stub, issuer.token()) == "STORE_UNAVAILABLE"
        assert other.requests == 0


async def test_keys_are_fetched_regularly(
    settings: Settings, issuer: TokenIssuer, key_server: KeyServer
) -> None:
    """Keys are fetched again after `jwks_refresh`, without a call."""
    key_server.document = issuer.document("first")
    known = {"issuers": (issuer.settings(jwks=key_server.url, jwks_refresh=0.05),)}
    update = known | {"health_interval": 0.05}
    async with Server(settings.model_copy(update=update)):
        await until_async(lambda: key_server.requests >= 3, what="further fetches")


@pytest.mark.parametrize("content", [None, "no JSON", "[]", '{"keys": 1}', '{"keys": []}'])
async def test_a_file_that_cannot_be_used(
    settings: Settings, issuer: TokenIssuer, content: str | None
) -> None:
    """A server with a file of keys that it cannot use does not start, and names the setting."""
    if content is None:
        issuer.file.unlink()
    else:
        issuer.file.write_text(content)
    known = {"issuers": (issuer.settings(),)}
    with pytest.raises(ValueError, match=r"^issuers\.0\.jwks: "):
        async with Server(settings.model_copy(update=known)):
            pass


def test_keys_that_do_not_count() -> None:
    """Only sound public keys for an allowed algorithm count; the others are left out, and named."""
    rsa, ec = public_jwk(private_key("RS256")), public_jwk(private_key("ES256"))
    listed: list[Any] = [
        {**ec, "kid": "sound"},
        {**ec, "kid": "for encryption", "use": "enc"},
        {**ec, "kid": "another algorithm", "alg": "ES384"},
        {**ec, "kid": "private", "d": "AAAA"},
        {**ec, "kid": "malformed", "x": "!"},
        {**rsa, "kid": "not allowed"},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
        "no key",
    ]
    document = json.dumps({"keys": listed}).encode()
    found = jwks.parse(document, ["ES256"])
    assert {name.id for name in found.by_name} == {"sound", None}
    assert found.left_out == (
        "'another algorithm' fits no algorithm that is allowed",
        "'private' is a private key",
        "'malformed' is malformed",
        "'not allowed' fits no algorithm that is allowed",
        "'secret' fits no algorithm that is allowed",
        "keys.7 is no object",
    )
    both = jwks.parse(json.dumps({"keys": [ec, {**ec, "kid": "2"}]}).encode(), ["ES256"])
    assert {name.id for name in both.by_name} == {"2"}, (
        "a token without an id could mean either key"
    )
