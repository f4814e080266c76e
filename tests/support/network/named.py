"""An authority that signs many certificates fast, within the test's own process."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


_AUTHORITY = _name("authority")


class Shown(NamedTuple):
    """What a client shows: a certificate and its key, in PEM."""

    key: bytes
    certificate: bytes


class Authority:
    """Signs certificates of clients."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._builder(self._key.public_key(), _AUTHORITY).add_extension(basic, critical=True)
        self._certificate = made.sign(self._key, SHA256())
        self.pem = self._certificate.public_bytes(Encoding.PEM)
        """The authority's own certificate, which a server trusts."""

    def signed(self, *names: x509.GeneralName) -> Shown:
        """A certificate with these subject alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(key.public_key(), _name("client"))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, SHA256())
        return Shown(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            certificate.public_bytes(Encoding.PEM),
        )

    def _builder(
        self, key: ec.EllipticCurvePublicKey, subject: x509.Name
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_AUTHORITY)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )


def dns(*names: str) -> Sequence[x509.GeneralName]:
    """DNS names."""
    return [x509.DNSName(each) for each in names]


def uri(*names: str) -> Sequence[x509.GeneralName]:
    """URIs."""
    return [x509.UniformResourceIdentifier(each) for each in names]
