"""`wrap` of what runs step by step: every step has the context of where it was wrapped.

Another tenant's context is current where the steps are taken; neither ever sees the other's.
"""

import asyncio
import contextvars
import functools
import inspect
import threading
import types
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from typing import Any

import pytest
from relevo_client import current_context, current_ref, use_context, wrap
from support.entries import entry_of

ONE, TWO, THREE = (entry_of(user, revision=n) for n, user in enumerate(("one", "two", "three"), 1))


def user() -> str:
    """The user whose context is current."""
    context = current_context()
    return context.user_id if context else "nobody"


def items(times: int = 3) -> Generator[str, str | None, str]:
    """Says who is current: in each step, in what is sent and thrown in, and in its end."""
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
    """The same, which waits amid each step."""
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
    """Says who is current, after a while."""
    await asyncio.sleep(0)
    return user()


ENDED: list[str] = []
"""Who was current in each generator's `finally`."""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Every test begins and ends with nothing current."""
    ENDED.clear()
    assert current_ref() is None
    yield
    assert current_ref() is None


class Steps:
    """One object with methods of each kind."""

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
        """The same."""
        return (yield from items(times))


class AsyncItems(Steps):
    """An object whose `__call__` is an async generator function."""

    async def __call__(self, times: int = 3) -> AsyncGenerator[str, str | None]:
        """The same."""
        async with aclosing(async_items(times)) as inner:
            async for item in inner:
                yield item


class Once(Steps):
    """An object whose `__call__` is a coroutine function."""

    async def __call__(self) -> str:
        """The same."""
        return await once()


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does not keep the function's kind, as many do not."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return decorated


@types.coroutine
def awaited() -> Generator[Any, Any, str]:
    """A coroutine of the old kind: a generator that is awaited."""
    yield from once().__await__()
    return user()


def _forms(function: Any, method: Any, called: Any) -> list[Any]:
    """A function in every form in which it may be handed over."""
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


each_generator = pytest.mark.parametrize("function", _forms(items, Steps().items, Items()))
each_async_generator = pytest.mark.parametrize(
    "function", _forms(async_items, Steps().async_items, AsyncItems())
)


@each_generator
def test_a_generator(function: Callable[..., Generator[str, str | None, str]]) -> None:
    """Iterated amid another tenant's call, a generator has its own context from first to last."""
    with use_context(ONE):
        wrapped = wrap(function)
    with use_context(TWO):
        seen: list[str] = []
        for item in wrapped(2):
            seen += [item, user()]
    assert seen == ["one", "two", "one", "two"]
    assert ENDED == ["one"]


@each_generator
def test_a_generators_protocol(function: Callable[..., Generator[str, str | None, str]]) -> None:
    """What is sent and thrown in arrives in the context, and what it returns comes back."""
    with use_context(ONE):
        wrapped = wrap(function)
    with use_context(TWO):
        begun = wrapped(2)
        assert next(begun) == "one"
        assert begun.send("sent") == "sent to one"
        assert next(begun) == "one"
        assert begun.throw(KeyError()) == "thrown to one"
        assert user() == "two"
        with pytest.raises(StopIteration) as end:
            next(begun)
        assert end.value.value == "returned by one"
        begun = wrapped(2)
        next(begun)
        with pytest.raises(ZeroDivisionError):
            begun.throw(ZeroDivisionError())
        with pytest.raises(StopIteration):
            next(begun)
        assert user() == "two"
    assert ENDED == ["one", "one"]


@each_generator
def test_a_generator_that_is_closed_early(
    function: Callable[..., Generator[str, str | None, str]],
) -> None:
    """Its `finally` has its context, whoever closes it and in whatever thread."""
    with use_context(ONE):
        wrapped = wrap(function)
    with use_context(TWO), closing(wrapped()) as begun:
        assert next(begun) == "one"
    elsewhere = wrapped()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, elsewhere).result() == "one"
        assert pool.submit(user).result() == "nobody"
    with use_context(THREE):
        elsewhere.close()
        assert user() == "three"
    dropped = wrapped()
    with use_context(THREE):
        next(dropped)
        del dropped
        assert user() == "three"
    assert ENDED == ["one"] * 3


@each_async_generator
async def test_an_async_generator(
    function: Callable[..., AsyncGenerator[str, str | None]],
) -> None:
    """The same holds for an async generator."""
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
    """What is thrown in arrives in the context."""
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
    """`asend` and `athrow` reach the generator's own body, and their answers come back."""
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


async def begin(begun: AsyncGenerator[str, str | None]) -> str:
    """Take the first item, in whatever task this is awaited."""
    return await anext(begun)


@each_async_generator
async def test_an_async_generator_that_is_closed_in_another_task(
    function: Callable[..., AsyncGenerator[str, str | None]],
) -> None:
    """Begun in one task and closed in another one, it leaves nothing in either."""
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
    """What nobody closes the loop ends in a task of its own, with its context."""
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
    """Cancelled amid a step, it ends in its context; the task that waited has its own again."""
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
    """Generators of two tenants, iterated in turns by a third one, each see their own tenant."""
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
    """A task that is created within a step has the step's context for good."""

    async def spawning() -> AsyncGenerator[asyncio.Task[str], None]:
        yield asyncio.create_task(once())

    with use_context(ONE):
        wrapped = wrap(spawning)
    with use_context(TWO):
        async with aclosing(wrapped()) as begun:
            assert await (await anext(begun)) == "one"


@pytest.mark.parametrize("order", ["inner first", "outer first"])
def test_blocks_within_steps(order: str) -> None:
    """A block that a step leaves open is the generator's own: those around the steps end well."""

    def with_a_block() -> Generator[str, None, None]:
        yield user()
        with use_context(THREE):
            yield user()
            yield user()
        yield user()

    def work() -> list[str]:
        with use_context(ONE):
            begun = wrap(with_a_block)()
        with use_context(TWO):
            seen = [next(begun), next(begun), user()]
            if order == "inner first":
                seen += [next(begun), next(begun)]
        seen.append(user())
        if order == "outer first":
            seen += [next(begun), next(begun)]
        return [*seen, user()]

    found = contextvars.copy_context().run(work)
    if order == "inner first":
        assert found == ["one", "three", "two", "three", "one", "nobody", "nobody"]
    else:
        assert found == ["one", "three", "two", "nobody", "three", "one", "nobody"]


async def test_a_block_that_a_coroutine_leaves_open() -> None:
    """Whoever awaits a wrapped coroutine keeps the blocks that are its own."""
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


@pytest.mark.parametrize("function", _forms(once, Steps().once, Once()))
async def test_a_coroutine(function: Callable[[], Coroutine[Any, Any, str]]) -> None:
    """Awaited amid another tenant's call, a coroutine has its own context, in whatever form."""
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
    """What a function returns that is no coroutine or generator is returned itself."""

    def given(result: object) -> object:
        return result

    for result in ([1], iter([1]), map(str, [1]), object(), threading.Lock()):
        assert wrap(given)(result) is result


def test_kinds_are_kept() -> None:
    """What `inspect` says of a function it says of the wrapped one; an object's is its call's."""
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
    """A coroutine or generator has no function to bind: TypeError, when it is wrapped."""
    coroutine = once()
    for called in (items(), async_items(), coroutine, None):
        with pytest.raises(TypeError, match="wrap takes a function, and got"):
            wrap(called)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await coroutine


@pytest.mark.parametrize("where", ["another context", "another thread"])
def test_a_coroutine_that_is_closed_elsewhere(where: str) -> None:
    """One that is dropped amid its work, as at a loop's end, leaves nothing with who closes it."""

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
