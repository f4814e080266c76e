"""Logs the missing layers of incomplete contexts, at most once a minute each."""

import time

from relevo_client._context.errors import IncompleteContextError, RelevoError
from relevo_client._context.log import log

_LOG_INTERVAL = 60.0
"""Seconds before the same missing layers are logged again: every call may include a layer."""
_MAX_LOGGED = 1024
_logged: dict[tuple[str, ...], float] = {}


def log_incomplete(error: RelevoError | None) -> None:
    """Log the keys of a context and of its missing layers, once a minute for the same layers.

    Any other error is ignored.
    """
    if not isinstance(error, IncompleteContextError):
        return
    now = time.monotonic()
    if now - _logged.get(error.missing, -_LOG_INTERVAL) < _LOG_INTERVAL:
        return
    if len(_logged) >= _MAX_LOGGED:
        _logged.clear()
    _logged[error.missing] = now
    log.warning("%s is incomplete: there is no %s", error.key, ", ".join(error.missing))
