"""What kind of function a user has given."""

import inspect


def is_coroutine_function(function: object) -> bool:
    """Whether to call it makes a coroutine: a coroutine function, or an object with such a call."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - of an object with a method
    )
