"""The TLS of a client's channel: its credentials, and the files that they are read from.

The credentials of a gRPC channel never change. So a client whose files have changed needs another
channel: `Tls` says when, and the stores of both kinds make it.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple, TypeAlias

import grpc

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.log import log

Pem: TypeAlias = str | PathLike[str] | bytes
"""PEM: the path of a file, or its content as bytes."""

_AGE = 1.0
"""Seconds after which the files are looked at again."""
MARGIN = 1.0
"""Seconds that the former channel stays open after its last call must have ended."""


class _Mark(NamedTuple):
    """A mark that differs if the file was replaced or written."""

    inode: int
    modified: int
    size: int


class Tls:
    """The credentials of a channel, None for a channel without TLS.

    Args:
        credentials: the credentials if they do not come from files.
        pems: the sources of `ca`, `cert` and `key`, by these names; {} for none.
        clock: a monotonic clock.

    Reads the files. Raises InvalidFieldError for one that cannot be read.

    """

    def __init__(
        self,
        credentials: grpc.ChannelCredentials | None,
        pems: Mapping[str, Pem] = {},
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pems = pems
        self._files = {
            field: Path(fspath(pem)) for field, pem in pems.items() if not isinstance(pem, bytes)
        }
        self._clock = clock
        self._look = clock() + _AGE
        self._marks: Mapping[str, _Mark | None] = self._present()
        self._refused = self._marks
        self.credentials = self._read() if pems else credentials

    @property
    def may_change(self) -> bool:
        """Whether there are files, so that the credentials may change."""
        return bool(self._files)

    def is_due(self) -> bool:
        """Whether it is time to look at the files again."""
        return bool(self._files) and self._clock() >= self._look

    def renew(self) -> bool:
        """Look at the files, and read them if they have changed. Returns whether they were read.

        A certificate and its key are replaced one after the other. So files that cannot be used,
        or that do not belong together, change nothing: the last ones are used on. The log has the
        reason once.
        """
        self._look = self._clock() + _AGE
        marks = self._present()
        if marks == self._marks:
            return False
        try:
            credentials = self._read()
            self._check()
        except (InvalidFieldError, OSError, ValueError) as error:  # includes ssl.SSLError
            if marks != self._refused:
                log.warning("the files of the client's TLS cannot be used: %s", _why(error))
            self._refused = marks
            return False
        if self._present() != marks:
            return False  # one was replaced while another one was read
        self.credentials, self._marks = credentials, marks
        return True

    def _read(self) -> grpc.ChannelCredentials:
        content = {field: _content(field, pem) for field, pem in self._pems.items()}
        return grpc.ssl_channel_credentials(
            content.get("ca"), content.get("key"), content.get("cert")
        )

    def _check(self) -> None:
        """Raise OSError or ValueError if the files cannot be used: gRPC would not say why."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca, cert, key = (self._files.get(field) for field in ("ca", "cert", "key"))
        if cert and key:
            context.load_cert_chain(cert, key, password="")
        if ca:
            context.load_verify_locations(ca)

    def _present(self) -> Mapping[str, _Mark | None]:
        return {field: _mark(file) for field, file in self._files.items()}


def _mark(file: Path) -> _Mark | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return _Mark(found.st_ino, found.st_mtime_ns, found.st_size)


def _content(field: str, pem: Pem) -> bytes:
    if isinstance(pem, bytes):
        return pem
    try:
        return Path(fspath(pem)).read_bytes()
    except OSError as error:
        raise InvalidFieldError([(field, f"{fspath(pem)}: {error.strerror}")]) from None


def _why(error: Exception) -> str:
    """The reason, without the content of a file."""
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    return str(reason or (error.strerror if isinstance(error, OSError) else None) or error)
