"""Certificates for tests, made by the `openssl` command: the repository contains none."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# An authority has the extensions of RFC 5280, which clients on Python 3.13 and newer require.
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

_CURVE = ("-pkeyopt", "ec_paramgen_curve:P-256")
"""Keys on a curve, which are made in no time: RSA takes openssl some tenths of a second."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, which peers are shown or trust."""
        return self.certificate.read_bytes()

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return self.key.read_bytes()


def self_signed(folder: Path, name: str, *, is_here: bool = True) -> Pair:
    """A self-signed certificate, for the loopback address or another."""
    return _make(folder, name, "here" if is_here else "elsewhere")


def authority(folder: Path, name: str) -> Pair:
    """The certificate of an authority, which signs others."""
    return _make(folder, name, "authority")


def signed_by(signer: Pair, folder: Path, name: str) -> Pair:
    """A certificate for the loopback address, signed by an authority."""
    pair, request = _pair(folder, name), folder / f"{name}.request"
    config = _config(folder)
    _openssl(
        *("req", "-new", "-newkey", "ec", *_CURVE, "-nodes", "-config", config),
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
        *("req", "-x509", "-newkey", "ec", *_CURVE, "-nodes", "-days", "1"),
        *("-config", _config(folder), "-extensions", extensions, "-subj", f"/CN={name}"),
        *("-keyout", pair.key, "-out", pair.certificate),
    )
    return pair


def _pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.crt", folder / f"{name}.key")


def _config(folder: Path) -> Path:
    # A configuration of our own, so that the machine's configuration of openssl does not apply.
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)
    return config


def _openssl(*arguments: str | Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "tests of TLS make their certificates with `openssl`, which is not on PATH"
    done = subprocess.run([openssl, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
