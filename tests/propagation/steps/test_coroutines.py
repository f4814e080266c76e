"""`wrap` of coroutines, and of functions that return one: they have the context of the wrapping."""

import asyncio
import contextvars
import functools
import inspect
import threading
import types
from collections.abc import (
    Callable,
    Coroutine,
    Generator,
)
from typing import Any

import pytest
from propagation.steps.functions import (
    ONE,
    THREE,
    TWO,
    AsyncItems,
    Items,
    Once,
    Steps,
    async_items,
    awaited,
    forms,
    items,
    once,
    plain,
    user,
)
from relevo_client import use_context, wrap


async def test_a_block_that_a_coroutine_leaves_open() -> None:
    """A block that a wrapped coroutine leaves open does not affect the blocks of its caller."""
    blocks: list[Any] = []

    async def careless() -> str:
        blocks.append(use_context(THREE))
        blocks[-1].__enter__()
        return user()

    with use_context(ONE):
        wrapped = wrap(careless)
    with use_context(TWO):
        assert await wrapped() == "three"
        assert user() == "two"
    assert user() == "nobody"


@pytest.mark.parametrize("function", forms(once, Steps().once, Once()))
async def test_a_coroutine(function: Callable[[], Coroutine[Any, Any, str]]) -> None:
    """Awaited under another tenant's context, a coroutine in any form has its own context."""
    with use_context(ONE):
        wrapped = wrap(function)
    with use_context(TWO):
        assert await wrapped() == "one"
        assert await asyncio.create_task(wrapped()) == "one"
        assert user() == "two"


async def test_what_a_function_returns_unstarted() -> None:
    """A coroutine or generator that a function returns has the function's context, too."""

    async def later() -> Generator[str, str | None, str]:
        return items(1)

    with use_context(ONE):
        makes = [wrap(plain(once)), wrap(plain(awaited)), wrap(awaited)]
        lists = wrap(lambda: (user() for _ in range(2)))
        wrapped = wrap(later)
    with use_context(TWO):
        for make in makes:
            assert await make() == "one"
        assert list(lists()) == ["one", "one"]
        assert list(await wrapped()) == ["one"]


def test_other_results_are_what_they_are() -> None:
    """Any other result of a function is returned unchanged."""

    def given(result: object) -> object:
        return result

    for result in ([1], iter([1]), map(str, [1]), object(), threading.Lock()):
        assert wrap(given)(result) is result


def test_kinds_are_kept() -> None:
    """`inspect` sees the same kind for a wrapped function, and that of `__call__` for an object."""
    for kind, functions in (
        (inspect.isgeneratorfunction, (items, Steps().items, Items())),
        (inspect.isasyncgenfunction, (async_items, Steps().async_items, AsyncItems())),
        (inspect.iscoroutinefunction, (once, Steps().once, Once())),
    ):
        for function in functions:
            wrapped: Callable[..., Any] = wrap(function)
            assert kind(wrapped), function
            assert kind(wrap(functools.partial(function))), function
    assert wrap(items).__name__ == "items"
    assert wrap(async_items).__doc__ == async_items.__doc__


async def test_what_has_been_called_is_refused() -> None:
    """Wrapping a coroutine or generator object raises TypeError: it has no function to bind."""
    coroutine = once()
    for called in (items(), async_items(), coroutine, None):
        with pytest.raises(TypeError, match="wrap takes a function, and got"):
            wrap(called)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await coroutine


@pytest.mark.parametrize("where", ["another context", "another thread"])
def test_a_coroutine_that_is_closed_elsewhere(where: str) -> None:
    """A coroutine that is closed elsewhere, as at a loop's end, leaves no context there."""

    @types.coroutine
    def pause() -> Generator[None, None, None]:
        yield

    async def hanging() -> None:
        await pause()

    with use_context(ONE):
        begun = wrap(hanging)()
    with use_context(TWO):
        if where == "another context":
            contextvars.copy_context().run(begun.send, None)
        else:
            thread = threading.Thread(target=begun.send, args=(None,))
            thread.start()
            thread.join()
    with use_context(THREE):
        begun.close()
        assert user() == "three"
    assert user() == "nobody"
