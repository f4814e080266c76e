"""Calls the user's functions so that their exceptions reach the log and never a caller."""

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from relevo_client._context.errors import RelevoError
from relevo_client._context.functions import is_coroutine_function, name_of
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._propagation.refusals import FAILED, RejectedError


def must_be_plain(**rules: Any) -> None:
    """Raise TypeError, with the argument's name, if a rule is a coroutine function."""
    for name, rule in rules.items():
        if is_coroutine_function(rule):
            raise TypeError(f"{name} must be a plain function: a coroutine is always true")


def evaluate(rule: Any, *arguments: Any) -> bool:
    """The value of a user's rule: a bool, or the result of a function of the arguments.

    Raises RejectedError if the function raises, or returns an awaitable.
    """
    if isinstance(rule, bool):
        return rule
    try:
        answer = rule(*arguments)
    except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
        raise failure(rule, error) from None
    if inspect.isawaitable(answer):  # which is true, whatever its result
        raise failure(rule, TypeError())
    return bool(answer)


def failure(function: object, error: Exception, lost: RelevoError | None = None) -> RejectedError:
    """Log the exception of a user's function, and return the error that rejects the call.

    `lost` is the failure for which the function was called as a fallback, if it was.
    """
    log_user_failure(function, error)
    return RejectedError(FAILED, lost)


def log_user_failure(function: object, error: Exception) -> None:
    """Log the exception of a user's function: its class and place, without its text."""
    log.error(
        "%s failed on a call's context: %s", name_of(function), class_and_place(error, function)
    )


@contextmanager
def own_timeouts(function: object) -> Generator[None, None, None]:
    """Log a TimeoutError of a user's function, which its waiters cannot tell from their own."""
    try:
        yield
    except TimeoutError as error:
        log_user_failure(function, error)
        raise
