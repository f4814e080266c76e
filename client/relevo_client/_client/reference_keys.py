"""`ReferenceKeys`: the keys with which a service verifies signed references."""

import time
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextRef
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._context.signatures import Keys, is_genuine, keys_of, prepared

KeySource: TypeAlias = str | PathLike[str] | Callable[[], Keys]
"""The path of a file of keys, or a function that returns the keys by name."""

_AGE = 1.0
"""Seconds for which keys are used before they are read again."""


class ReferenceKeys:
    """Keys that are read again each second, if they are used. Raises InvalidFieldError.

    A function is called in the way of calls: it must not wait. If keys cannot be read, the last
    ones are used on.
    """

    def __init__(
        self,
        source: KeySource,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._read = source if callable(source) else _reading(source)
        self._monotonic = monotonic
        self._clock = clock
        try:
            self._verifiers = prepared(self._read())
        except OSError as error:
            raise InvalidFieldError([("reference_keys", error.strerror or "")]) from None
        except ValueError as error:
            text = str(error) if not callable(source) else "cannot be read"
            raise InvalidFieldError([("reference_keys", text)]) from None
        self._expire = monotonic() + _AGE

    def verify(self, ref: ContextRef) -> bool:
        """Whether a reference has a signature of one of the keys that has not expired."""
        now = self._monotonic()
        if now >= self._expire:
            self._expire = now + _AGE
            try:
                self._verifiers = prepared(self._read())
            except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
                place = class_and_place(error, self._read)
                log.warning("the reference keys cannot be read: %s", place)
        return is_genuine(ref, self._verifiers, self._clock())


def _reading(path: str | PathLike[str]) -> Callable[[], Keys]:
    file = Path(fspath(path))
    return lambda: keys_of(file.read_text("utf-8"))
