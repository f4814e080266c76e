"""A server that other hosts can reach has TLS and knows its callers, unless told otherwise."""

import socket
from typing import Any

import pytest
from pydantic import ValidationError
from relevo_server.settings import Settings
from support.clients.access import principal
from support.clients.tokens import AUDIENCE, ISSUER, NAME
from support.servers.process import relevo_ends, relevo_serve

KNOWN: dict[str, Any] = {"principals": [principal("x", "acme").model_dump()]}
TRUSTED: dict[str, Any] = {
    "issuers": [{"name": NAME, "issuer": ISSUER, "audience": AUDIENCE, "jwks": "keys.json"}]
}
TLS: dict[str, Any] = {"tls_certificate": "c.pem", "tls_key": "k.pem"}


def refused(listen: str, **values: Any) -> list[str]:
    """The texts about `listen` with these settings."""
    try:
        Settings.model_validate({"listen": listen, **values})
    except ValidationError as error:
        found = error.errors()
        assert {each["loc"] for each in found} == {("listen",)}
        return [each["msg"] for each in found]
    return []


@pytest.mark.parametrize(
    "listen",
    [
        *("127.0.0.1:7390", "127.8.8.8:0", "localhost:7390", "[::1]:7390", "unix:/run/relevo"),
        "[::ffff:127.0.0.1]:7390",
    ],
)
def test_this_host(listen: str) -> None:
    """On a loopback address, or a Unix socket, a server may know nobody and speak no TLS."""
    assert refused(listen) == []


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:7390", "[::]:7390", "10.0.0.1:7390", "store.example:7390", "[::ffff:10.0.0.1]:1"],
)
def test_other_hosts(listen: str) -> None:
    """On any other address it needs both, or `insecure`. The error says what strangers could do."""
    everyone, unencrypted = refused(listen)
    assert "everyone may do everything" in everyone
    assert "unencrypted" in unencrypted
    for text in (everyone, unencrypted):
        assert "--insecure" in text
    assert refused(listen, **KNOWN) == [unencrypted]
    assert refused(listen, **TLS) == [everyone]
    assert refused(listen, **KNOWN, **TLS) == []
    assert refused(listen, **TRUSTED, **TLS) == []
    assert refused(listen, insecure=True) == []


def test_the_command() -> None:
    """`relevo serve` ends with 2 and says so; with `--insecure` it starts."""
    ended = relevo_ends("--listen", "0.0.0.0:0")
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert all(line.startswith("relevo serve: listen: ") for line in lines)
    assert all(line.endswith("(--listen)") for line in lines)
    with relevo_serve("--listen", "0.0.0.0:0", "--insecure") as server:
        port = int(server.address.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=10).close()


def test_metrics_are_not_meant() -> None:
    """The endpoint for metrics shows no tenant, so it may be open."""
    assert refused("127.0.0.1:7390", metrics_listen=":9464") == []
