"""`wrap` of async generators: every step has the context of the place of their wrapping.

The steps run under another tenant's context, and neither side sees the other's.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
)
from contextlib import aclosing

import pytest
from propagation.steps.functions import (
    ENDED,
    ONE,
    THREE,
    TWO,
    async_items,
    begin,
    each_async_generator,
    items,
    once,
    user,
)
from relevo_client import use_context, wrap


@each_async_generator
async def test_an_async_generator(
    function: Callable[..., AsyncGenerator[str, str | None]],
) -> None:
    """A wrapped async generator has its own context in every step."""
    with use_context(ONE):
        wrapped = wrap(function)
    with use_context(TWO):
        seen: list[str] = []
        async for item in wrapped(2):
            seen += [item, user()]
    assert seen == ["one", "two", "one", "two"]
    assert ENDED == ["one"]


@each_async_generator
async def test_an_async_generators_protocol(
    function: Callable[..., AsyncGenerator[str, str | None]],
) -> None:
    """Values thrown in arrive in the generator's context."""
    with use_context(ONE):
        wrapped = wrap(function)
    with use_context(TWO):
        begun = wrapped(2)
        assert await anext(begun) == "one"
        with pytest.raises(ZeroDivisionError):
            await begun.athrow(ZeroDivisionError())
        with pytest.raises(StopAsyncIteration):
            await anext(begun)
        assert user() == "two"
    assert ENDED == ["one"]


async def test_what_is_sent_to_an_async_generator() -> None:
    """`asend` and `athrow` reach the generator's own body, and return its answers."""
    with use_context(ONE):
        wrapped = wrap(async_items)
    with use_context(TWO):
        async with aclosing(wrapped(2)) as begun:
            assert await anext(begun) == "one"
            assert await begun.asend("sent") == "sent to one"
            assert await begun.asend(None) == "one"
            assert await begun.athrow(KeyError()) == "thrown to one"
            with pytest.raises(StopAsyncIteration):
                await anext(begun)
            assert user() == "two"
    assert ENDED == ["one"]


@each_async_generator
async def test_an_async_generator_that_is_closed_in_another_task(
    function: Callable[..., AsyncGenerator[str, str | None]],
) -> None:
    """A generator that is begun in one task and closed in another one changes neither's context."""
    with use_context(ONE):
        wrapped = wrap(function)
    begun = wrapped()
    with use_context(TWO):
        assert await asyncio.create_task(begin(begun)) == "one"
    with use_context(THREE):
        await begun.aclose()
        assert user() == "three"
    assert ENDED == ["one"]
    assert user() == "nobody"


async def test_an_async_generator_that_is_dropped() -> None:
    """A dropped generator is ended by the loop in its own task, with its own context."""
    with use_context(ONE):
        begun = wrap(async_items)()
    with use_context(TWO):
        await anext(begun)
        del begun
        await asyncio.sleep(0)
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert user() == "two"
    assert ENDED == ["one"]


async def test_an_async_generator_that_is_cancelled() -> None:
    """A generator cancelled in a step ends in its context, and its consumer's is unchanged."""
    waits = asyncio.Event()

    async def hanging() -> AsyncGenerator[str, None]:
        try:
            yield user()
            waits.set()
            await asyncio.Event().wait()
        finally:
            ENDED.append(user())

    with use_context(ONE):
        begun = wrap(hanging)()

    async def consume() -> str:
        with use_context(TWO):
            await anext(begun)
            try:
                await anext(begun)
            except asyncio.CancelledError:
                return user()
        return "nothing was cancelled"

    task = asyncio.create_task(consume())
    await waits.wait()
    task.cancel()
    assert await task == "two"
    assert ENDED == ["one"]


async def test_two_tenants_taking_turns() -> None:
    """Generators of two tenants that a third one iterates alternately each see their own tenant."""
    begun: list[Generator[str, str | None, str]] = []
    async_begun: list[AsyncGenerator[str, str | None]] = []
    for entry in (ONE, TWO):
        with use_context(entry):
            begun.append(wrap(items)())
            async_begun.append(wrap(async_items)())
    with use_context(THREE):
        for _ in range(3):
            assert [next(each) for each in begun] == ["one", "two"]
            assert [await anext(each) for each in async_begun] == ["one", "two"]
            assert await asyncio.gather(*map(begin, [wrap(async_items)()])) == ["three"]
            assert user() == "three"


async def test_a_task_that_a_step_begins() -> None:
    """A task that is created within a step keeps the step's context."""

    async def spawning() -> AsyncGenerator[asyncio.Task[str], None]:
        yield asyncio.create_task(once())

    with use_context(ONE):
        wrapped = wrap(spawning)
    with use_context(TWO):
        async with aclosing(wrapped()) as begun:
            assert await (await anext(begun)) == "one"
