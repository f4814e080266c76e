"""`wrap`: binds the current context to a function that runs elsewhere or later.

A call does not run the body of some functions: a generator's body runs when it is iterated, a
coroutine's when it is awaited. The wrapped context is current in each of these steps, and the
caller's own context is current again after the step.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextvars import copy_context
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from relevo_client._context.current import Steps, get_current, set_current
from relevo_client._context.deferred import Current
from relevo_client._context.fences import FENCES, Fences
from relevo_client._context.functions import (
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Function: TypeAlias = Callable[..., Any]
_Call: TypeAlias = tuple[Current, Fences | None]
"""The context that is current in a call, and the call's fences."""


def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function bound to the context that is current now.

    For functions that run elsewhere or later: in threads, executors, callbacks, or background
    tasks that outlive the call. The thread or task that runs it keeps its own context.

    A coroutine function, a generator function and an async generator function keep their kind,
    and an object with such a `__call__` becomes a function of that kind. The context is current
    in every step of their bodies, whichever task or thread awaits or iterates them; also in a
    coroutine or generator that a plain function returns. Other lazy results (`map`, a context
    manager) are returned unchanged: they run with the context of the code that uses them.

    Raises TypeError if the argument is not callable, such as a coroutine or a generator.
    """
    if not callable(function):
        raise TypeError(f"wrap takes a function, and got {type(function).__name__}")
    bind = next((bind for is_kind, bind in _BY_KIND if is_kind(function)), _plain)
    return cast("Callable[_P, _R]", wraps(function)(bind(function, (get_current(), FENCES.get()))))


def _plain(function: _Function, call: _Call) -> _Function:
    def bound(*args: Any, **kwargs: Any) -> Any:
        scope = copy_context()
        current, fences = call
        scope.run(set_current, current)
        scope.run(FENCES.set, fences)
        return _bound(scope.run(function, *args, **kwargs), call)

    return bound


def _coroutine(function: _Function, call: _Call) -> _Function:
    async def bound(*args: Any, **kwargs: Any) -> Any:
        with Steps(*call):
            result = await function(*args, **kwargs)
        return _bound(result, call)

    return bound


def _generator(function: _Function, call: _Call) -> _Function:
    def bound(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = Steps(*call)
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


def _async_generator(function: _Function, call: _Call) -> _Function:
    async def bound(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = Steps(*call)
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


def _bound(result: object, call: _Call) -> Any:
    """The result of a function; a coroutine or generator is bound to the function's context."""

    def returned() -> Any:
        return result

    kind = type(result)
    if kind is CoroutineType or (kind is GeneratorType and inspect.isawaitable(result)):
        return _coroutine(returned, call)()
    if kind is GeneratorType:
        return _generator(returned, call)()
    if kind is AsyncGeneratorType:
        return _async_generator(returned, call)()
    return result
