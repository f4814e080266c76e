"""Loads the certificates of a server that speaks TLS."""

import ssl

import grpc

from relevo_server.settings import Settings


def credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """The port's TLS credentials, or None without TLS.

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
    return grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        authority.read_bytes() if authority else None,
        authority is not None,
    )


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
