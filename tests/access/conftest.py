"""Fixtures of the tests about who may call."""

from pathlib import Path

import pytest
from support.clients.tokens import TokenIssuer
from support.network.certificates import Pair, self_signed
from support.network.named import Authority


@pytest.fixture
def issuer(tmp_path: Path) -> TokenIssuer:
    """An issuer of JWTs with one published key."""
    issuer = TokenIssuer(tmp_path / "jwks.json")
    issuer.rotate("first")
    return issuer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Pair:
    """A server's certificate."""
    return self_signed(folder, "server")


@pytest.fixture
def signer() -> Authority:
    """The authority of the clients' certificates."""
    return Authority()


@pytest.fixture
def tls(pair: Pair, signer: Authority, tmp_path: Path) -> dict[str, Path]:
    """Settings of a server with TLS, whose clients show certificates."""
    authority = tmp_path / "authority.pem"
    authority.write_bytes(signer.pem)
    return {
        "tls_certificate": pair.certificate,
        "tls_key": pair.key,
        "tls_client_ca": authority,
    }
