"""The kinds and names of a user's functions.

A function's kind is that of what a call returns. A partial is of the kind of the function that
it calls, an object of the kind of its `__call__`.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any


def is_coroutine_function(function: object) -> bool:
    """Whether a call of the function returns a coroutine."""
    return _is(inspect.iscoroutinefunction, function)


def is_async_generator_function(function: object) -> bool:
    """Whether a call of the function returns an async generator."""
    return _is(inspect.isasyncgenfunction, function)


def is_generator_function(function: object) -> bool:
    """Whether a call of the function returns a generator to be iterated, and not awaited."""
    return _is(_is_generator_function, function)


def _is_generator_function(function: object) -> bool:
    # `types.coroutine` marks generator functions whose generators are awaited.
    if not inspect.isgeneratorfunction(function):
        return False
    return not getattr(function, "__code__").co_flags & inspect.CO_ITERABLE_COROUTINE  # noqa: B009 - of any callable


def _is(kind: Callable[[object], bool], function: object) -> bool:
    function = unwrapped(function)
    return kind(function) or kind(type(function).__call__)


def unwrapped(function: Any) -> object:
    """The function that a partial calls, through nested partials; any other function itself."""
    while isinstance(function, partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return function


def name_of(function: object) -> str:
    """The qualified name of a function, or the class name of an object with a `__call__`."""
    function = unwrapped(function)
    name: str = getattr(function, "__qualname__", type(function).__name__)
    return name
