"""Asks the server that runs with given settings for its health: `relevo check --serving`.

It is the probe of images and charts: it knows the port and its TLS from the server's own settings,
and needs no token. The certificate of the port must be the one in the settings.
"""

import argparse
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from relevo_server import tls
from relevo_server.cli import serve
from relevo_server.findings import Finding
from relevo_server.settings import Settings

_TIMEOUT = 5.0
"""Seconds that the handshake, and then the call, may take."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}  # noqa: S104 - nothing listens here
_HOSTS = {"DNS", "IP Address"}
_OPTIONS = (("grpc.enable_http_proxy", 0),)
"""Of a channel: the server is on this host, whatever proxies the environment names."""
_SETTINGS = "give the flags, environment and file of the server"
_LOOK = "look at the server's log, and at listen"
_TLS = (
    "compare tls_certificate with the certificate of the port; with tls_client_ca, it is also "
    "presented, so that CA must have signed it, with the usage clientAuth"
)


def findings(source: serve.Flags, options: argparse.Namespace) -> Iterator[Finding]:
    """The answer of the server that the settings describe, or why there is none."""
    try:
        loaded = serve.load(source, options)
        files = tls.files_of(loaded)
    except ValueError as error:  # includes WrongSettingsError
        for line in str(error).splitlines():
            yield Finding("settings", "wrong", line, _SETTINGS)
        return
    address = _address(loaded.listen)
    if address.endswith(":0"):
        text = "listen has port 0, so nobody knows the port"
        yield Finding("settings", "wrong", text, "name a port in listen")
        return
    try:
        channel = _channel(address, loaded, files)
    except OSError as error:  # includes ssl.SSLError
        advice = _TLS if isinstance(error, ssl.SSLError) else _LOOK
        yield Finding("serving", "wrong", f"{address}: {_text(error)}", advice)
        return
    with closing(channel):
        yield _asked(channel, address, options.serving, _TLS if files else _LOOK)


def _asked(channel: grpc.Channel, address: str, service: str, advice: str) -> Finding:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT)
    except grpc.RpcError as error:
        refusal: Any = error
        text = f"{address}: {refusal.code().name}: {refusal.details()}"
        return Finding("serving", "wrong", text, advice)
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Finding("serving", "ok", f"{service} is {status}")
    return Finding("serving", "wrong", f"{service} is {status}", "see docs/operations.md, Health")


def _address(listen: str) -> str:
    """The address of this host at which a server that listens there is reached."""
    host, colon, port = listen.rpartition(":")
    return f"{_WILDCARDS.get(host, host)}{colon}{port}"


def _channel(address: str, settings: Settings, files: tls.Files | None) -> grpc.Channel:
    if not files:
        return grpc.insecure_channel(address, _OPTIONS)
    pair = (files.key, files.certificate) if files.client_ca else (None, None)
    # The certificate is for the name that clients call, which is not this host's own.
    return grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(files.certificate, *pair),
        (*_OPTIONS, ("grpc.ssl_target_name_override", _certified_name(address, settings))),
    )


def _certified_name(address: str, settings: Settings) -> str:
    """A name of the port's certificate. Raises OSError if it is not that of the settings."""
    context = ssl.create_default_context(cafile=settings.tls_certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may lack the root
    if settings.tls_client_ca and settings.tls_certificate:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    context.set_alpn_protocols(["h2"])
    with _connected(address) as plain, context.wrap_socket(plain) as secured:
        certificate: Any = secured.getpeercert()
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in _HOSTS]
    if not names:
        raise ssl.SSLCertVerificationError("the certificate names no host")
    return str(names[0]).replace("*", "any")


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(_TIMEOUT)
        plain.connect(address.removeprefix("unix:"))
        return plain
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT)


def _text(error: OSError) -> str:
    return error.strerror or str(error)
