"""How commands reach a server: their common options, the channel, and calls on it."""

import argparse
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
from relevo.admin.v1 import admin_pb2_grpc
from relevo.v1 import store_pb2_grpc

from relevo_cli import numbers
from relevo_cli.failures import UsageError

_Response = TypeVar("_Response")
_DEFAULT_ADDRESS = "127.0.0.1:7390"
_RETRIES = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
_PAGE = 1000
"""The items of one page."""
_PEM_FILES = {
    "ca": "trust this CA",
    "cert": "present this certificate",
    "key": "the certificate's key",
}
_SERVICES = ("relevo.v1.ContextStore", "relevo.admin.v1.Admin")
# The client library's, as a test proves. To import it takes three times as long as all else.
CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [
                    {"name": [{"service": name} for name in _SERVICES], "retryPolicy": _RETRIES}
                ]
            }
        ),
    ),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
"""Options of a channel: retries, large answers, keepalive."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which server is asked, and how."""
    parser.epilog = (
        "Exit codes: 0 done, 1 failed, 2 wrong usage or a malformed field, 3 no such entry. "
        "RELEVO_TOKEN is sent as the bearer token."
    )
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--target",
        "--server",
        dest="target",
        default=_default_address(os.environ),
        metavar="ADDRESS",
        help="the server, as host:port or any target of gRPC "
        "(default: RELEVO_TARGET, else RELEVO_SERVER, else %(default)s)",
    )
    group.add_argument(
        "--tls", action="store_true", help="speak TLS; implied by --ca, --cert and --key"
    )
    for name, text in _PEM_FILES.items():
        variable = f"RELEVO_{name.upper()}"
        group.add_argument(
            f"--{name}",
            type=Path,
            default=os.environ.get(variable) or None,
            metavar="FILE",
            help=f"{text} (PEM; default: {variable})",
        )
    group.add_argument(
        "--token-file",
        type=Path,
        default=os.environ.get("RELEVO_TOKEN_FILE") or None,
        metavar="FILE",
        help="read the bearer token from here, instead of RELEVO_TOKEN "
        "(default: RELEVO_TOKEN_FILE)",
    )
    group.add_argument(
        "--insecure-token",
        action="store_true",
        help="send the token without TLS, also beyond this host",
    )
    group.add_argument(
        "--timeout",
        type=numbers.seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long each call may take (default: %(default)s)",
    )


def _default_address(environment: Mapping[str, str]) -> str:
    for name in ("RELEVO_TARGET", "RELEVO_SERVER"):
        if environment.get(name):
            return environment[name]
    return _DEFAULT_ADDRESS


class Connection:
    """The stubs of a server, and calls with the deadline and the token of the command line.

    The token is read for each call: a command that runs for long has the one that is valid now.
    """

    def __init__(self, channel: grpc.Channel, options: argparse.Namespace) -> None:
        self.store = store_pb2_grpc.ContextStoreStub(channel)
        self.admin = admin_pb2_grpc.AdminStub(channel)
        self._options = options

    def call(self, method: Callable[..., _Response], request: Any) -> _Response:
        """The response of a unary call. Raises grpc.RpcError, and the errors of `token_of`."""
        return method(request, timeout=self._options.timeout, metadata=self._metadata())

    def pages(self, method: Callable[..., _Response], request: Any) -> Iterator[_Response]:
        """The responses of all pages. Sets the request's size of a page, and its token."""
        request.page_size = _PAGE
        while True:
            page: Any = self.call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def stream(self, method: Callable[..., _Response], request: Any) -> _Response:
        """A stream of responses, without a deadline. It raises grpc.RpcError."""
        return method(request, metadata=self._metadata())

    def _metadata(self) -> list[tuple[str, str]]:
        token = token_of(self._options)
        return [("authorization", f"Bearer {token}")] if token else []


@contextmanager
def connected(options: argparse.Namespace) -> Generator[Connection]:
    """Connect as the options say. Nothing is sent before the first call.

    Raises UsageError, and OSError for a file that cannot be read.
    """
    target, credentials = target_of(options), credentials_of(options)
    must_be_protected(options, target)
    with (
        grpc.secure_channel(target, credentials, [*CHANNEL_OPTIONS])
        if credentials
        else grpc.insecure_channel(target, [*CHANNEL_OPTIONS])
    ) as channel:
        yield Connection(channel, options)


def target_of(options: argparse.Namespace) -> str:
    """The server's address. Raises UsageError if it is empty."""
    target: str = options.target
    if not target:
        raise UsageError("--target: must be an address")
    return target


def credentials_of(options: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """The credentials of a TLS channel, or None without TLS. Raises OSError, UsageError."""
    if (options.cert is None) != (options.key is None):
        raise UsageError("--cert and --key go together")
    if not has_tls(options):
        return None
    files: list[Path | None] = [options.ca, options.key, options.cert]
    authority, key, certificate = (file.read_bytes() if file else None for file in files)
    return grpc.ssl_channel_credentials(authority, key, certificate)


def has_tls(options: argparse.Namespace) -> bool:
    """Whether the options ask for a TLS channel."""
    return bool(options.tls or options.ca or options.cert or options.key)


def must_be_protected(options: argparse.Namespace, *targets: str) -> None:
    """Raise UsageError if a token would travel beyond this host without TLS.

    Raises the errors of `token_of` too.
    """
    if not token_of(options) or has_tls(options) or options.insecure_token:
        return
    # Here, because it takes long to import, and few commands come here.
    from relevo_client._store.targets import is_local  # noqa: PLC0415

    for target in targets:
        if not is_local(target):
            raise UsageError(
                f"the token would travel unencrypted to {target}: use TLS (--tls, --ca), or say "
                "--insecure-token"
            )


def client_arguments(options: argparse.Namespace, *targets: str) -> dict[str, Any]:
    """The credentials for a client of these targets, as its arguments.

    Raises the errors of `credentials_of`, `token_of` and `must_be_protected`.
    """
    must_be_protected(options, *targets)
    token = (
        {"token_file": options.token_file} if options.token_file else {"token": token_of(options)}
    )
    return {
        "credentials": credentials_of(options),
        "insecure_token": options.insecure_token,
        **token,
    }


def token_of(options: argparse.Namespace) -> str | None:
    """The bearer token: the content of `--token-file`, else RELEVO_TOKEN.

    Raises OSError, and UsageError for a token that no header can hold. Neither quotes it.
    """
    source = "--token-file" if options.token_file else "RELEVO_TOKEN"
    if options.token_file:
        token: str | None = Path(options.token_file).read_text("utf-8", "replace").strip()
        if not token:
            raise UsageError(f"{source}: {options.token_file} has no token")
    else:
        token = os.environ.get("RELEVO_TOKEN")
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError(f"{source}: a token is one line of printable ASCII characters")
    return token
