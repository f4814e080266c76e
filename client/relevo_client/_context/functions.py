"""What kind of function a user has given, and what it is called.

The kind is what a call returns: partials count as what they call, and objects as their
`__call__`.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any


def is_coroutine_function(function: object) -> bool:
    """Whether a call returns a coroutine."""
    return _is(inspect.iscoroutinefunction, function)


def is_async_generator_function(function: object) -> bool:
    """Whether a call returns an async generator."""
    return _is(inspect.isasyncgenfunction, function)


def is_generator_function(function: object) -> bool:
    """Whether a call returns a generator that is iterated."""
    return _is(_is_generator_function, function)


def _is_generator_function(function: object) -> bool:
    # `types.coroutine` marks generator functions that are awaited, and not iterated.
    if not inspect.isgeneratorfunction(function):
        return False
    return not getattr(function, "__code__").co_flags & inspect.CO_ITERABLE_COROUTINE  # noqa: B009 - of any callable


def _is(kind: Callable[[object], bool], function: object) -> bool:
    function = unwrapped(function)
    return kind(function) or kind(type(function).__call__)


def unwrapped(function: Any) -> object:
    """What a partial calls in the end; any other function as it is."""
    while isinstance(function, partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return function


def name_of(function: object) -> str:
    """The name of a function; of an object with a `__call__`, its class's."""
    function = unwrapped(function)
    name: str = getattr(function, "__qualname__", type(function).__name__)
    return name
