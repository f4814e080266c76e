"""`relevo serve` over TLS: trusted and untrusted certificates on both sides."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest
from relevo_client import (
    AccessDeniedError,
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ExecutionContext,
    InvalidFieldError,
    UnavailableError,
)
from support.clients.either import KINDS, Either, opened
from support.network.certificates import Pair, authority, self_signed, signed_by
from support.servers.command import relevo
from support.servers.process import RelevoProcess, relevo_ends, relevo_serve
from support.servers.shapes import Kind

KEY = ContextKey("agent_config", "acme", "support")
TOKEN = "token-of-acme"  # noqa: S105 - a test's own
USER = '{"user_id": "u"}'
TIMEOUT = 2.0
"""Seconds after which a client without a connection gives up."""
SLACK = 8.0
"""Seconds that a busy machine may need for it. Without a timeout, a call would wait for ever."""

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Pair:
    """The server's certificate."""
    return self_signed(folder, "server")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Pair:
    """A certificate that is unrelated to the server's."""
    return self_signed(folder, "stranger")


@pytest.fixture(scope="module")
def signer(folder: Path) -> Pair:
    """The authority of the clients' certificates."""
    return authority(folder, "authority")


def tls(pair: Pair) -> tuple[str, ...]:
    """The flags of a server with TLS."""
    return "--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)


@pytest.fixture
def secure(pair: Pair) -> Iterator[RelevoProcess]:
    """A server with TLS."""
    with relevo_serve(*tls(pair)) as server:
        yield server


@pytest.fixture
def mutual(pair: Pair, signer: Pair) -> Iterator[RelevoProcess]:
    """A server with TLS that requires a client certificate of the authority."""
    with relevo_serve(*tls(pair), "--tls-client-ca", str(signer.certificate)) as server:
        yield server


def trusting(pair: Pair, own: Pair | None = None) -> dict[str, Any]:
    """The options of a client that trusts a certificate, and presents its own."""
    shown = (own.key_pem, own.certificate_pem) if own else (None, None)
    credentials = grpc.ssl_channel_credentials(pair.certificate_pem, *shown)
    return {"credentials": credentials, "timeout": TIMEOUT}


async def works(client: Either) -> bool:
    """Whether a context can be put and read."""
    ref = await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
    entry = await client.ask(lambda c: c.resolve(ref))
    return bool(entry.context.user_id == "u")


async def refused(client: Either) -> UnavailableError:
    """The error of a client without a connection, which it raises within its timeout."""
    began = monotonic()
    with pytest.raises(UnavailableError) as caught:
        await client.ask(lambda c: c.get(KEY))
    assert monotonic() - began < TIMEOUT + SLACK
    return caught.value


@each_kind
async def test_a_client_that_trusts_the_certificate(
    secure: RelevoProcess, pair: Pair, kind: Kind
) -> None:
    """With `credentials` that trust the server's certificate, calls work as without TLS."""
    async with opened(kind, secure.address, **trusting(pair)) as client:
        assert await works(client)


@pytest.mark.parametrize("form", ["paths", "bytes"])
@each_kind
async def test_files_of_a_client(
    mutual: RelevoProcess, pair: Pair, signer: Pair, folder: Path, kind: Kind, form: str
) -> None:
    """`ca`, `cert` and `key` are paths or PEM, and prove both sides to each other."""
    own = signed_by(signer, folder, f"client-{kind}-{form}")
    options: dict[str, Any] = {"ca": pair.certificate, "cert": str(own.certificate), "key": own.key}
    if form == "bytes":
        options = {"ca": pair.certificate_pem, "cert": own.certificate_pem, "key": own.key_pem}
    async with opened(kind, mutual.address, timeout=TIMEOUT, **options) as client:
        assert await works(client)
    async with opened(kind, mutual.address, timeout=TIMEOUT, ca=options["ca"]) as client:
        await refused(client)


@pytest.mark.parametrize("kind", [AsyncContextClient, ContextClient])
def test_files_that_do_not_fit(kind: Any, pair: Pair, folder: Path) -> None:
    """Files that are missing or exclude other arguments are refused when the client is made."""
    with pytest.raises(InvalidFieldError, match=r"^ca: .*none.*No such file"):
        kind("store:7390", ca=folder / "none")
    for options in ({"cert": pair.certificate}, {"key": pair.key}):
        with pytest.raises(ValueError, match="cert and key go together"):
            kind("store:7390", **options)
    with pytest.raises(ValueError, match="either credentials, or ca"):
        kind("store:7390", ca=pair.certificate, credentials=grpc.ssl_channel_credentials())


@each_kind
async def test_a_name_of_the_certificate(secure: RelevoProcess, pair: Pair, kind: Kind) -> None:
    """Any name in the certificate is valid: an address, or the name of the host."""
    port = secure.address.rpartition(":")[2]
    async with opened(kind, f"localhost:{port}", **trusting(pair)) as client:
        assert await works(client)


@each_kind
async def test_a_name_that_the_certificate_has_not(folder: Path, kind: Kind) -> None:
    """A certificate of another host raises UnavailableError, trusted or not."""
    elsewhere = self_signed(folder, "elsewhere", is_here=False)
    with relevo_serve(*tls(elsewhere)) as server:
        async with opened(kind, server.address, **trusting(elsewhere)) as client:
            assert "does not name this host" in str(await refused(client))


@each_kind
async def test_a_client_that_does_not_trust_the_certificate(
    secure: RelevoProcess, stranger: Pair, kind: Kind
) -> None:
    """A client that trusts only other certificates gets UnavailableError within its timeout."""
    async with opened(kind, secure.address, **trusting(stranger)) as client:
        assert "do not trust" in str(await refused(client))


@each_kind
async def test_a_client_without_tls(secure: RelevoProcess, kind: Kind) -> None:
    """A client without TLS gets UnavailableError from a port with TLS, within its timeout."""
    async with opened(kind, secure.address, timeout=TIMEOUT) as client:
        assert "speaks TLS" in str(await refused(client))


@each_kind
async def test_a_server_without_tls(pair: Pair, kind: Kind) -> None:
    """A client with TLS does not fall back to a server without it: UnavailableError."""
    with relevo_serve() as server:
        async with opened(kind, server.address, token=TOKEN, **trusting(pair)) as client:
            assert "does not speak TLS" in str(await refused(client))


@each_kind
async def test_mutual_tls(
    mutual: RelevoProcess, pair: Pair, signer: Pair, folder: Path, kind: Kind
) -> None:
    """With `--tls-client-ca`, a client with a certificate of that authority is served."""
    own = signed_by(signer, folder, "client")
    async with opened(kind, mutual.address, **trusting(pair, own)) as client:
        assert await works(client)


@each_kind
async def test_mutual_tls_without_a_certificate(
    mutual: RelevoProcess, pair: Pair, kind: Kind
) -> None:
    """A client without a certificate is refused, even if it trusts the server."""
    async with opened(kind, mutual.address, **trusting(pair)) as client:
        await refused(client)


@each_kind
async def test_mutual_tls_with_another_certificate(
    mutual: RelevoProcess, pair: Pair, stranger: Pair, kind: Kind
) -> None:
    """A certificate of another authority is refused, even the server's own."""
    for other in (stranger, pair):
        async with opened(kind, mutual.address, **trusting(pair, other)) as client:
            await refused(client)


@pytest.fixture
def guarded(pair: Pair, tmp_path: Path) -> Iterator[RelevoProcess]:
    """A server with TLS and one token, configured by a file like that on the page."""
    file = tmp_path / "relevo.toml"
    file.write_text(
        f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"\n'
        '[[principals]]\nname = "acme"\ntenants = ["acme"]\n'
        f'token_sha256 = "{sha256(TOKEN.encode()).hexdigest()}"\n'
    )
    with relevo_serve("--config", str(file)) as server:
        yield server


@each_kind
async def test_a_token_over_tls(guarded: RelevoProcess, pair: Pair, kind: Kind) -> None:
    """The token opens its tenants over TLS; without it, or for another tenant, access is denied."""
    async with opened(kind, guarded.address, token=TOKEN, **trusting(pair)) as client:
        assert await works(client)
        with pytest.raises(AccessDeniedError) as caught:
            await client.ask(lambda c: c.invalidate_tenant("globex"))
        assert caught.value.reason == "TENANT_DENIED"
    for token in (None, "another"):
        async with opened(kind, guarded.address, token=token, **trusting(pair)) as client:
            with pytest.raises(AccessDeniedError) as caught:
                await client.ask(lambda c: c.get(KEY))
            assert caught.value.reason == "UNAUTHENTICATED"
    assert TOKEN not in "".join(guarded.lines)


def test_the_command_over_tls(guarded: RelevoProcess, pair: Pair) -> None:
    """`relevo put`, `get` and `invalidate` use TLS with `--tls`, and trust the CA of `--ca`."""
    flags = ("--server", guarded.address, "--tls", "--ca", str(pair.certificate))
    here = {"RELEVO_TOKEN": TOKEN}
    put = relevo("put", KEY.text, *flags, stdin=USER, environment=here)
    assert put.code == 0, put.err
    got = relevo("get", KEY.text, *flags, environment=here)
    assert got.json["entry"]["context"]["user_id"] == "u"
    assert got.json["entry"]["version"] == put.json["entry"]["version"]
    assert relevo("invalidate", KEY.text, *flags, environment=here).code == 0
    assert relevo("get", KEY.text, *flags, environment=here).code == 3
    assert "UNAUTHENTICATED" in relevo("get", KEY.text, *flags).message


@pytest.mark.parametrize("flags", [(), ("--tls",), ("--tls", "--ca")], ids=" ".join)
def test_a_command_that_is_not_trusting(
    secure: RelevoProcess, stranger: Pair, flags: tuple[str, ...]
) -> None:
    """Without TLS, or without the server's CA, the command fails with 1 and one line."""
    ca = (str(stranger.certificate),) if "--ca" in flags else ()
    ended = relevo("get", KEY.text, "--server", secure.address, "--timeout", "5", *flags, *ca)
    assert ended.code == 1
    assert "UNAVAILABLE" in ended.message
    assert ("not trusted" if flags else "may speak TLS") in ended.message


def test_a_command_that_speaks_tls_to_a_server_without() -> None:
    """With `--tls` for a port without TLS, the error line says so."""
    with relevo_serve() as server:
        ended = relevo("get", KEY.text, "--server", server.address, "--tls", "--timeout", "5")
    assert ended.code == 1
    assert "does not speak TLS" in ended.message


def test_a_ca_that_is_not_there(secure: RelevoProcess, folder: Path) -> None:
    """An unreadable file of `--ca` is wrong usage: exit code 2, and a line that names it."""
    ended = relevo("get", KEY.text, "--server", secure.address, "--tls", "--ca", str(folder / "no"))
    assert ended.code == 2
    assert str(folder / "no") in ended.message


@pytest.mark.parametrize("content", [None, "this is not PEM"], ids=["missing", "garbage"])
@pytest.mark.parametrize("setting", ["tls_certificate", "tls_key", "tls_client_ca"])
def test_files_that_cannot_be_used(
    pair: Pair, tmp_path: Path, setting: str, content: str | None
) -> None:
    """An unusable file is a wrong setting: the server exits with 2, and a line that names it."""
    file = tmp_path / "wrong.pem"
    if content:
        file.write_text(content)
    ended = relevo_ends(
        *("--listen", "127.0.0.1:0", *tls(pair)), f"--{setting.replace('_', '-')}", str(file)
    )
    assert "Traceback" not in ended.stderr
    assert "tls_" in ended.stderr.splitlines()[-1]
    assert ended.returncode == 2


def test_a_key_of_another_certificate(pair: Pair, stranger: Pair) -> None:
    """A key that does not belong to the certificate is a wrong setting, too."""
    ended = relevo_ends(*("--listen", "127.0.0.1:0", *tls(pair)), "--tls-key", str(stranger.key))
    assert "Traceback" not in ended.stderr
    assert "tls_" in ended.stderr.splitlines()[-1]
    assert ended.returncode == 2
