"""Functions of every kind that runs in steps, and each form in which one is wrapped."""

import asyncio
import functools
import types
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
)
from contextlib import aclosing
from typing import Any

import pytest
from relevo_client import current_context
from support.entries import entry_of

ONE, TWO, THREE = (entry_of(user, revision=n) for n, user in enumerate(("one", "two", "three"), 1))


def user() -> str:
    """The user whose context is current."""
    context = current_context()
    return context.user_id if context else "nobody"


def items(times: int = 3) -> Generator[str, str | None, str]:
    """Yields the current user: in each step, for each sent or thrown value, and at its end."""
    try:
        for _ in range(times):
            try:
                sent = yield user()
            except KeyError:
                yield f"thrown to {user()}"
            else:
                if sent:
                    yield f"{sent} to {user()}"
        return f"returned by {user()}"
    finally:
        ENDED.append(user())


async def async_items(times: int = 3) -> AsyncGenerator[str, str | None]:
    """The same as `items`, with a wait within each step."""
    try:
        for _ in range(times):
            await asyncio.sleep(0)
            try:
                sent = yield user()
            except KeyError:
                yield f"thrown to {user()}"
            else:
                if sent:
                    yield f"{sent} to {user()}"
    finally:
        await asyncio.sleep(0)
        ENDED.append(user())


async def once() -> str:
    """Returns the current user, after a wait."""
    await asyncio.sleep(0)
    return user()


ENDED: list[str] = []
"""The user that was current in each generator's `finally`."""


class Steps:
    """An object with methods of each kind."""

    def items(self, times: int = 3) -> Generator[str, str | None, str]:
        """A generator method."""
        return (yield from items(times))

    async def async_items(self, times: int = 3) -> AsyncGenerator[str, str | None]:
        """An async generator method."""
        async with aclosing(async_items(times)) as inner:
            async for item in inner:
                yield item

    async def once(self) -> str:
        """A coroutine method."""
        return await once()


class Items(Steps):
    """An object whose `__call__` is a generator function."""

    def __call__(self, times: int = 3) -> Generator[str, str | None, str]:
        """The same as `items`."""
        return (yield from items(times))


class AsyncItems(Steps):
    """An object whose `__call__` is an async generator function."""

    async def __call__(self, times: int = 3) -> AsyncGenerator[str, str | None]:
        """The same as `async_items`."""
        async with aclosing(async_items(times)) as inner:
            async for item in inner:
                yield item


class Once(Steps):
    """An object whose `__call__` is a coroutine function."""

    async def __call__(self) -> str:
        """The same as `once`."""
        return await once()


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does not keep the function's kind, as many decorators do not."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return decorated


@types.coroutine
def awaited() -> Generator[Any, Any, str]:
    """An awaitable of the old kind, based on a generator."""
    yield from once().__await__()
    return user()


def forms(function: Any, method: Any, called: Any) -> list[Any]:
    """A function in every form in which it may be wrapped."""
    return [
        pytest.param(function, id="function"),
        pytest.param(functools.partial(function), id="partial"),
        pytest.param(functools.partial(functools.partial(function)), id="partial of a partial"),
        pytest.param(method, id="method"),
        pytest.param(functools.partial(method), id="partial of a method"),
        pytest.param(called, id="object"),
        pytest.param(functools.partial(called), id="partial of an object"),
        pytest.param(plain(function), id="decorated"),
    ]


each_generator = pytest.mark.parametrize("function", forms(items, Steps().items, Items()))
each_async_generator = pytest.mark.parametrize(
    "function", forms(async_items, Steps().async_items, AsyncItems())
)


async def begin(begun: AsyncGenerator[str, str | None]) -> str:
    """Take the first item, in the task that awaits this."""
    return await anext(begun)
