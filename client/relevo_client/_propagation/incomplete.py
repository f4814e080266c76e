"""What the service's log is told of contexts that are incomplete: which layers are missing."""

import time

from relevo_client._context.errors import IncompleteContextError
from relevo_client._context.log import log

_QUIET = 60.0
"""Seconds for which the same missing layers are not told again: a layer may be in every call."""
_MOST = 1024
_told: dict[tuple[str, ...], float] = {}


def tell_incomplete(error: IncompleteContextError) -> None:
    """Log the keys of a context and of its missing layers, once a minute for the same layers."""
    now = time.monotonic()
    if now - _told.get(error.missing, -_QUIET) < _QUIET:
        return
    if len(_told) >= _MOST:
        _told.clear()
    _told[error.missing] = now
    log.warning("%s is incomplete: there is no %s", error.key, ", ".join(error.missing))
