"""The user's functions, guarded: what they raise reaches the log and never a caller."""

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from relevo_client._context.errors import RelevoError
from relevo_client._context.functions import is_coroutine_function, name_of
from relevo_client._context.log import log
from relevo_client._context.raised import shown
from relevo_client._propagation.refusals import FAILED, RejectedError


def must_be_plain(**rules: Any) -> None:
    """Raise TypeError for a user's function of this name that is a coroutine function."""
    for name, rule in rules.items():
        if is_coroutine_function(rule):
            raise TypeError(f"{name} must be a plain function: a coroutine is always true")


def evaluate(rule: Any, *arguments: Any) -> bool:
    """What a user's rule says: a bool, or a function of the arguments.

    Raises RejectedError if the function raises, or returns what is to be awaited.
    """
    if isinstance(rule, bool):
        return rule
    try:
        answer = rule(*arguments)
    except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
        raise failure(rule, error) from None
    if inspect.isawaitable(answer):  # and so true, whatever it will say
        raise failure(rule, TypeError())
    return bool(answer)


def failure(function: object, error: Exception, lost: RelevoError | None = None) -> RejectedError:
    """How a call ends if a user's function raised, which is logged here.

    `lost` is why the function was asked, if that was because a context could not be had.
    """
    log_user_failure(function, error)
    return RejectedError(FAILED, lost)


def log_user_failure(function: object, error: Exception) -> None:
    """Log that a user's function failed: with the class and the place, without the text."""
    log.error("%s failed on a call's context: %s", name_of(function), shown(error, function))


@contextmanager
def own_timeouts(function: object) -> Generator[None, None, None]:
    """Log a TimeoutError of a user's function; who waits for it cannot tell it from their own."""
    try:
        yield
    except TimeoutError as error:
        log_user_failure(function, error)
        raise
