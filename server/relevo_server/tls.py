"""The certificates of a server that speaks TLS, which a reload replaces."""

import ssl
from typing import Any, NamedTuple

import grpc

from relevo_server.hiding import hides
from relevo_server.settings import Settings


@hides("certificate", "key", "client_ca")
class Files(NamedTuple):
    """The content of the files, in PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    """The CA of the clients' certificates, None if clients show none."""

    @property
    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """The files, as gRPC has them."""
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.certificate)], self.client_ca
        )


def files_of(settings: Settings) -> Files | None:
    """The files of the settings, or None without TLS.

    Raises ValueError if a file cannot be used.
    """
    certificate, key, authority = (
        settings.tls_certificate,
        settings.tls_key,
        settings.tls_client_ca,
    )
    if not (certificate and key):
        return None
    # Load the files here first: gRPC would report each error only as a failure to listen.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # includes ssl.SSLError
        raise ValueError(f"tls_certificate, tls_key: {_why(error)}") from None
    try:
        if authority:
            context.load_verify_locations(authority)
    except (OSError, ValueError) as error:
        raise ValueError(f"tls_client_ca: {_why(error)}") from None
    return Files(
        certificate.read_bytes(), key.read_bytes(), authority.read_bytes() if authority else None
    )


class Certificates:
    """The certificates of a port. New connections get those that were set last."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._waiting: grpc.ServerCertificateConfiguration | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """The credentials of the port."""
        files = self.files
        take: Any = self._take  # by its types it must not return None
        return grpc.dynamic_ssl_server_credentials(
            files.configuration, take, files.client_ca is not None
        )

    def replace(self, files: Files) -> None:
        """Use these from the next handshake on. Open connections stay."""
        if files != self.files:
            self.files, self._waiting = files, files.configuration

    def _take(self) -> grpc.ServerCertificateConfiguration | None:
        """A handshake's configuration, None for no change. gRPC asks in a thread of its own."""
        waiting, self._waiting = self._waiting, None
        return waiting


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
