"""`relevo check --serving`: asks the server of the settings, over the port that it has."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from relevo_client.testing import LocalStore
from support.network.certificates import Pair, authority, self_signed, signed_by
from support.network.ports import NOBODY
from support.servers.outcome import Outcome, Relevo
from support.servers.process import relevo_serve

services = pytest.mark.parametrize("service", ["liveness", "readiness"])


def asked(offline: Relevo, address: str, *flags: str, service: str = "readiness") -> Outcome:
    """Ask the server at an address."""
    return offline("check", "--serving", service, "--output", "json", "--listen", address, *flags)


def found(outcome: Outcome) -> str:
    """What it found, with its level."""
    (finding,) = outcome.json["findings"]
    assert bool(finding["advice"]) == (finding["level"] != "ok") == (outcome.code == 1)
    return f"{finding['check']} {finding['level']}: {finding['text']}"


@services
def test_a_server_that_serves(offline: Relevo, store: LocalStore, service: str) -> None:
    """It says so, and ends with 0."""
    assert found(asked(offline, store.address, service=service)) == (
        f"serving ok: {service} is SERVING"
    )


def test_readiness_is_asked_by_default(offline: Relevo, store: LocalStore) -> None:
    """`--serving` alone stands for readiness, at a wildcard address for this host."""
    port = store.address.rpartition(":")[2]
    outcome = offline("check", "--serving", "--listen", f"0.0.0.0:{port}", "--insecure")
    assert (outcome.code, "readiness is SERVING" in outcome.out) == (0, True)
    assert "store" not in outcome.out  # nothing else is checked


def test_a_server_without_its_store(offline: Relevo) -> None:
    """Without Redis a server lives, and is not ready."""
    nowhere = ("--store", f"redis://127.0.0.1:{NOBODY}")
    with relevo_serve(*nowhere) as server:
        assert asked(offline, server.address, *nowhere, service="liveness").code == 0
        outcome = asked(offline, server.address, *nowhere)
    assert found(outcome) == "serving wrong: readiness is NOT_SERVING"


def test_nobody_is_there(offline: Relevo) -> None:
    """A port without a server is wrong, and so are port 0 and settings that cannot be."""
    outcome = asked(offline, f"127.0.0.1:{NOBODY}")
    assert f"127.0.0.1:{NOBODY}: UNAVAILABLE" in found(outcome)
    assert found(asked(offline, "127.0.0.1:0")).startswith("settings wrong: listen has port 0")
    assert found(asked(offline, "nowhere")).startswith("settings wrong: listen")


def test_somebody_who_is_silent(offline: Relevo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts connections and never answers is wrong, after some seconds."""
    monkeypatch.setattr("relevo_cli.serving._TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = asked(offline, f"127.0.0.1:{silent.getsockname()[1]}")
    assert outcome.code == 1


def secured(pair: Pair, client_ca: Path | None = None) -> dict[str, Any]:
    """The settings of TLS."""
    given = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    return {**given, "tls_client_ca": client_ca} if client_ca else given


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as flags."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


@pytest.mark.parametrize("is_here", [True, False], ids=["for this host", "for another name"])
def test_over_tls(offline: Relevo, tmp_path: Path, is_here: bool) -> None:
    """The certificate of the settings is trusted, whatever name it is for; another one is not."""
    settings = secured(self_signed(tmp_path, "server", is_here=is_here))
    with LocalStore(**settings) as store:
        assert asked(offline, store.address, *flags(settings)).code == 0
        other = secured(self_signed(tmp_path, "other"))
        outcome = asked(offline, store.address, *flags(other))
    assert found(outcome).startswith(f"serving wrong: {store.address}:")
    assert "tls_certificate" in outcome.out


def test_over_tls_with_clients_certificates(offline: Relevo, tmp_path: Path) -> None:
    """The server's own certificate is presented, if its authority is that of the clients."""
    signer = authority(tmp_path, "authority")
    for pair, code in (
        (signed_by(signer, tmp_path, "server"), 0),
        (self_signed(tmp_path, "alone"), 1),
    ):
        settings = secured(pair, signer.certificate)
        with LocalStore(**settings) as store:
            outcome = asked(offline, store.address, *flags(settings))
        assert (outcome.code, "clientAuth" in outcome.out) == (code, bool(code))
