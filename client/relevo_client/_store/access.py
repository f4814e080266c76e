"""The credentials of a client, and of its channel."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike

import grpc

from relevo_client._store import bearer
from relevo_client._store.bearer import Bearer
from relevo_client._store.targets import is_local
from relevo_client._store.tls import Pem, Tls


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

    def tls(self, target: str | None) -> Tls:
        """The TLS of a channel to a target.

        Reads the files. Raises ValueError for arguments that exclude one another, and
        InvalidFieldError for a file that cannot be read.
        """
        if not self._has_files:
            return Tls(self.credentials)
        if self.credentials is not None:
            raise ValueError("give either credentials, or ca, cert and key")
        if target is None:
            raise ValueError("ca, cert and key need a target: a channel has its own credentials")
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        pems = {"ca": self.ca, "cert": self.cert, "key": self.key}
        return Tls(None, {field: pem for field, pem in pems.items() if pem is not None})

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
