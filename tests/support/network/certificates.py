"""Certificates for a test, made by the `openssl` command: none are kept in the repository."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# An authority has what RFC 5280 asks for, as clients on Python 3.13 and newer insist.
_CONFIG = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[here]
subjectAltName = IP:127.0.0.1, DNS:localhost
[signed]
subjectAltName = IP:127.0.0.1, DNS:localhost
authorityKeyIdentifier = keyid
[elsewhere]
subjectAltName = DNS:store.example
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def certificate_pem(self) -> bytes:
        """The certificate: what a peer trusts, or is shown."""
        return self.certificate.read_bytes()

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return self.key.read_bytes()


def self_signed(folder: Path, name: str, *, is_here: bool = True) -> Pair:
    """A certificate that nobody has signed but itself, for the loopback address or another."""
    return _make(folder, name, "here" if is_here else "elsewhere")


def authority(folder: Path, name: str) -> Pair:
    """A certificate that others can be signed with."""
    return _make(folder, name, "authority")


def signed_by(signer: Pair, folder: Path, name: str) -> Pair:
    """A certificate for the loopback address that an authority has signed."""
    pair, request = _pair(folder, name), folder / f"{name}.request"
    config = _config(folder)
    _openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-config", config),
        *("-subj", f"/CN={name}", "-keyout", pair.key, "-out", request),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-days", "1", "-set_serial", "1"),
        *("-CA", signer.certificate, "-CAkey", signer.key),
        *("-extfile", config, "-extensions", "signed", "-out", pair.certificate),
    )
    return pair


def _make(folder: Path, name: str, extensions: str) -> Pair:
    pair = _pair(folder, name)
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
        *("-config", _config(folder), "-extensions", extensions, "-subj", f"/CN={name}"),
        *("-keyout", pair.key, "-out", pair.certificate),
    )
    return pair


def _pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.crt", folder / f"{name}.key")


def _config(folder: Path) -> Path:
    # Of our own: what else would hold depends on how a machine has set openssl up.
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)
    return config


def _openssl(*arguments: str | Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "tests of TLS make their certificates with `openssl`, which is not on PATH"
    done = subprocess.run([openssl, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
