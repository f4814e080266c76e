"""`wrap`: functions that run elsewhere or later, with the context of where they were wrapped.

A call runs the smaller part of some functions: a generator's body runs when it is iterated,
a coroutine's when it is awaited. Each of these steps has the context, and whoever takes a
step finds their own again after it.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextvars import copy_context
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from relevo_client._context.current import Steps, get_current, set_current
from relevo_client._context.deferred import Current
from relevo_client._context.functions import (
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Function: TypeAlias = Callable[..., Any]


def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function with the context that is current now.

    For what runs elsewhere or later: threads, executors, callbacks, background tasks that
    outlive the call. Nothing is left behind in the thread or task that runs it.

    A coroutine function, a generator function and an async generator function stay what they
    are, and an object with such a `__call__` becomes one. Their bodies have the context in
    every step, whoever awaits or iterates them. So has a coroutine or generator that a plain
    function returns. Other lazy results (`map`, a context manager) are returned as they are:
    they have the context of whoever iterates or enters them.

    Raises TypeError for what cannot be called, such as a coroutine or a generator.
    """
    if not callable(function):
        raise TypeError(f"wrap takes a function, and got {type(function).__name__}")
    bind = next((bind for is_kind, bind in _BY_KIND if is_kind(function)), _plain)
    return cast("Callable[_P, _R]", wraps(function)(bind(function, get_current())))


def _plain(function: _Function, current: Current) -> _Function:
    def bound(*args: Any, **kwargs: Any) -> Any:
        scope = copy_context()
        scope.run(set_current, current)
        return _bound(scope.run(function, *args, **kwargs), current)

    return bound


def _coroutine(function: _Function, current: Current) -> _Function:
    async def bound(*args: Any, **kwargs: Any) -> Any:
        with Steps(current):
            result = await function(*args, **kwargs)
        return _bound(result, current)

    return bound


def _generator(function: _Function, current: Current) -> _Function:
    def bound(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = Steps(current)
        with steps:
            items = function(*args, **kwargs)
        step: Callable[[], Any] = items.__next__
        while True:
            with steps:
                try:
                    item = step()
                except StopIteration as end:
                    return end.value
            try:
                sent = yield item
            except GeneratorExit:
                with steps:
                    items.close()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in
                step = partial(items.throw, error)
            else:
                step = partial(items.send, sent)

    return bound


def _async_generator(function: _Function, current: Current) -> _Function:
    async def bound(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = Steps(current)
        with steps:
            items = function(*args, **kwargs)
        step: Callable[[], Awaitable[Any]] = items.__anext__
        while True:
            with steps:
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
            try:
                sent = yield item
            except GeneratorExit:  # perhaps in another task than the steps before
                with steps:
                    await items.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in
                step = partial(items.athrow, error)
            else:
                step = partial(items.asend, sent)

    return bound


_BY_KIND = (
    (is_coroutine_function, _coroutine),
    (is_async_generator_function, _async_generator),
    (is_generator_function, _generator),
)


def _bound(result: object, current: Current) -> Any:
    """What a function returned; if it has yet to run, with the function's context."""

    def returned() -> Any:
        return result

    kind = type(result)
    if kind is CoroutineType or (kind is GeneratorType and inspect.isawaitable(result)):
        return _coroutine(returned, current)()
    if kind is GeneratorType:
        return _generator(returned, current)()
    if kind is AsyncGeneratorType:
        return _async_generator(returned, current)()
    return result
