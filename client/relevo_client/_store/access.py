"""The credentials of a client, and of its channel."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

import grpc

from relevo_client._context.errors import InvalidFieldError
from relevo_client._store import bearer
from relevo_client._store.bearer import Bearer
from relevo_client._store.targets import is_local

Pem: TypeAlias = str | PathLike[str] | bytes
"""PEM: the path of a file, or its content as bytes."""


@dataclass(frozen=True, repr=False, kw_only=True)
class Access:
    """The arguments of a client about its credentials; the client documents them."""

    token: str | Callable[[], object] | None
    token_file: str | PathLike[str] | None
    insecure_token: bool
    credentials: grpc.ChannelCredentials | None
    ca: Pem | None
    cert: Pem | None
    key: Pem | None

    def bearer(self, target: str | None) -> Bearer:
        """The token of calls to a target; None for a channel of the user's own.

        Raises ValueError for a token that would travel without TLS beyond this host, and for
        two tokens.
        """
        has_token = bool(self.token) or self.token_file is not None
        if self.token and self.token_file is not None:
            raise ValueError("give either a token or a token_file")
        if has_token and not (target is None or self._has_tls or self.insecure_token):
            must_be_local(target)
        if self.token_file is not None:
            return bearer.of_file(self.token_file)
        if callable(self.token):
            return bearer.of_function(self.token)
        return bearer.fixed(self.token or "")

    def channel_credentials(self, target: str | None) -> grpc.ChannelCredentials | None:
        """The credentials of a channel to a target; None for a channel without TLS.

        Reads the files. Raises ValueError for arguments that exclude one another, and
        InvalidFieldError for a file that cannot be read.
        """
        if not self._has_files:
            return self.credentials
        if self.credentials is not None:
            raise ValueError("give either credentials, or ca, cert and key")
        if target is None:
            raise ValueError("ca, cert and key need a target: a channel has its own credentials")
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        return grpc.ssl_channel_credentials(
            _content("ca", self.ca), _content("key", self.key), _content("cert", self.cert)
        )

    @property
    def _has_files(self) -> bool:
        return any(each is not None for each in (self.ca, self.cert, self.key))

    @property
    def _has_tls(self) -> bool:
        return self.credentials is not None or self._has_files


def must_be_local(target: str) -> None:
    """Raise ValueError if a token would leave this host without TLS."""
    if not is_local(target):
        raise ValueError(
            "a token must not travel unencrypted beyond this host: give credentials or a ca, or "
            "insecure_token=True"
        )


def _content(field: str, pem: Pem | None) -> bytes | None:
    if pem is None or isinstance(pem, bytes):
        return pem
    try:
        return Path(fspath(pem)).read_bytes()
    except OSError as error:
        raise InvalidFieldError([(field, f"{fspath(pem)}: {error.strerror}")]) from None
