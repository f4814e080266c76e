"""Signs the references of entries, so that services can trust callers that they do not know.

A signature is `NAME.EXPIRY.REVISION.MAC`: the name of the key that signed, the Unix time at which
it expires, the entry's version, and HMAC-SHA256 in base64url without padding, over
`relevo.ref.1`, the text form of the entry's key, the version and the expiry, joined by line ends.
"""

import hmac
import re
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.logs import log
from relevo_server.marks import Mark, mark_of
from relevo_server.settings import Settings
from relevo_server.wire.entries import Sign

_AGE = 1.0
"""Seconds after which the file is looked at again."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,16}")
_MIN_BYTES = 16

_text = lru_cache(4096)(str)


@hides("secret")
class _SigningKey(NamedTuple):
    name: str
    secret: bytes


def signature_of(settings: Settings) -> Sign | None:
    """The function that signs references as the settings say; None if there are no keys.

    Raises ValueError if the file of keys cannot be used.
    """
    if settings.reference_keys is None:
        return None
    return Signer(settings.reference_keys, settings.reference_ttl).sign


class Signer:
    """Signs with the first key of a file, which is read again when it has changed.

    `ttl` is the seconds for which a signature counts. Raises ValueError if the file cannot be used.
    """

    def __init__(self, file: Path, ttl: float, *, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._ttl = ttl
        self._clock = clock
        try:
            self._mark: Mark = mark_of(file)
            self._key: _SigningKey = _first_key(file)
        except OSError as error:
            raise ValueError(f"reference_keys: {file}: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"reference_keys: {file}: {error}") from None
        self._look = clock() + _AGE

    def sign(self, key: Key, version: int) -> str:
        """The signature of the reference to an entry in this version."""
        now = self._clock()
        if not now < self._look <= now + _AGE:  # the clock may be set back
            self._look = now + _AGE
            self._read_again()
        expiry = int(now + self._ttl)
        text = f"relevo.ref.1\n{_text(key)}\n{version}\n{expiry}"
        digest = hmac.digest(self._key.secret, text.encode(), "sha256")
        mac = urlsafe_b64encode(digest)[:-1].decode()
        return f"{self._key.name}.{expiry}.{version}.{mac}"

    def _read_again(self) -> None:
        try:
            mark = mark_of(self._file)
            if mark != self._mark:
                self._key, self._mark = _first_key(self._file), mark
                log.info("reference_keys.changed", key=self._key.name)
        except (OSError, ValueError) as error:
            cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
            log.warning("reference_keys.unusable", cause=cause)


def _first_key(file: Path) -> _SigningKey:
    """The first key of a file; all are checked. Raises OSError, ValueError without secrets."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]):
            raise ValueError(f"line {number}: must be a name (A-Z a-z 0-9 _ -) and a secret")
        name, secret = words
        if name in keys:
            raise ValueError(f"line {number}: {name} is there twice")
        try:
            keys[name] = b64decode(secret, validate=True)
        except ValueError:
            raise ValueError(f"line {number}: the secret of {name} is not base64") from None
        if len(keys[name]) < _MIN_BYTES:
            raise ValueError(f"line {number}: the secret of {name} is below {_MIN_BYTES} bytes")
    for first in keys.items():
        return _SigningKey(*first)
    raise ValueError("has no key")
