"""Logs what is wrong with the configuration in contexts, at most once a minute each.

Every call may include the same layer: a log with a line for each call would hide all else.
"""

import time

from relevo_client._context.errors import IncompleteContextError, InvalidSectionError, RelevoError
from relevo_client._context.log import log

_LOG_INTERVAL = 60.0
"""Seconds before the same fault is logged again."""
_MAX_LOGGED = 1024
_logged: dict[tuple[str, ...], float] = {}


def log_incomplete(error: RelevoError | None) -> None:
    """Log the keys of a context and of its missing layers, once a minute for the same layers.

    Any other error is ignored.
    """
    if isinstance(error, IncompleteContextError) and _is_due(error.missing):
        log.warning("%s is incomplete: there is no %s", error.key, ", ".join(error.missing))


def log_invalid(handler: str, error: InvalidSectionError) -> None:
    """Log a section that does not fit a handler's model, once a minute for the same violations."""
    if _is_due((handler, *map(str, error.violations))):
        log.error("%s: %s", handler, error)


def _is_due(fault: tuple[str, ...]) -> bool:
    now = time.monotonic()
    if now - _logged.get(fault, -_LOG_INTERVAL) < _LOG_INTERVAL:
        return False
    if len(_logged) >= _MAX_LOGGED:
        _logged.clear()
    _logged[fault] = now
    return True
