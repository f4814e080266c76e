"""`wrap`: a function that runs elsewhere or later has the context of the place of its wrapping."""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from relevo_client import (
    current_context,
    use_context,
    wrap,
)
from support.entries import entry_of

ONE, TWO = entry_of("one"), entry_of("two", revision=2)


def user() -> str | None:
    """The user whose context is current."""
    context = current_context()
    return context.user_id if context else None


async def user_later() -> str | None:
    """The current user, after a pause."""
    await asyncio.sleep(0)
    return user()


def user_of(_: int) -> str | None:
    """The current user, for one of many items."""
    return user()


def test_a_pool() -> None:
    """In a pool's thread, a wrapped function has its context and leaves none; others have none."""
    with ThreadPoolExecutor(1) as pool:
        with use_context(ONE):
            wrapped, plain = pool.submit(wrap(user)), pool.submit(user)
        with use_context(TWO):
            mapped = list(pool.map(wrap(user_of), range(2)))
        assert (wrapped.result(), plain.result(), mapped) == ("one", None, ["two", "two"])
        assert pool.submit(user).result() is None


def test_a_thread() -> None:
    """The same holds for the caller's own thread."""
    found: list[str | None] = []

    def look() -> None:
        found.append(user())

    with use_context(ONE):
        thread = threading.Thread(target=wrap(look))
    thread.start()
    thread.join()
    assert found == ["one"]


async def test_run_in_executor() -> None:
    """`loop.run_in_executor` does not carry a context by itself; a wrapped function has its own."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        with use_context(ONE):
            assert await loop.run_in_executor(pool, user) is None
            assert await loop.run_in_executor(pool, wrap(user)) == "one"
            assert await asyncio.to_thread(user) == "one"
        assert await loop.run_in_executor(pool, user) is None


async def test_tasks() -> None:
    """A task that is begun elsewhere has the context of its function's wrapping."""
    with use_context(ONE):
        wrapped = wrap(user_later)
        own = asyncio.create_task(user_later())
    with use_context(TWO):
        task = asyncio.create_task(wrapped())
        assert await task == "one"
        assert await own == "one"
        assert await wrapped() == "one"
        assert user() == "two"


async def test_callbacks() -> None:
    """Callbacks of the loop and of futures have their own contexts."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str | None] = loop.create_future()
    with use_context(ONE):
        callback = wrap(lambda: found.set_result(user()))
    loop.call_soon(callback)
    assert await found == "one"


def test_nothing_is_left_where_it_runs() -> None:
    """A wrapped function does not change the context of its caller."""
    blocks: list[Any] = []

    def careless() -> None:
        blocks.append(use_context(TWO))
        blocks[-1].__enter__()
        raise KeyError(user())

    with use_context(ONE):
        wrapped = wrap(careless)
    with use_context(TWO):
        with pytest.raises(KeyError):
            wrapped()
        assert user() == "two"
    with pytest.raises(KeyError):
        wrapped()
    assert user() is None


async def test_nothing_is_left_by_a_coroutine() -> None:
    """The same holds if a wrapped coroutine function is awaited, fails or is cancelled."""
    begun = asyncio.Event()

    async def failing() -> None:
        raise KeyError(user())

    async def hanging() -> None:
        begun.set()
        await asyncio.Event().wait()

    with use_context(ONE):
        fails, hangs = wrap(failing), wrap(hanging)
    with use_context(TWO):
        with pytest.raises(KeyError, match="one"):
            await fails()
        assert user() == "two"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hangs(), 0.01)
        assert user() == "two"


def test_no_context_is_a_context_too() -> None:
    """A function that was wrapped without a current context has none, wherever it runs."""
    wrapped = wrap(user)
    with use_context(ONE):
        assert wrapped() is None
        assert user() == "one"


async def test_what_it_wraps_stays_the_same() -> None:
    """A wrapped function keeps its name, arguments, result and kind."""

    def work(number: int, *, times: int = 2) -> int:
        """Multiply."""
        return number * times

    assert wrap(work)(3, times=4) == 12
    assert (wrap(work).__name__, wrap(work).__doc__) == ("work", "Multiply.")
    assert not inspect.iscoroutinefunction(wrap(work))
    assert inspect.iscoroutinefunction(wrap(user_later))
    assert inspect.iscoroutinefunction(wrap(functools.partial(user_later)))
    assert wrap(functools.partial(work, 3))(times=5) == 15


def test_one_at_once_in_many_threads() -> None:
    """A wrapped function may run concurrently in several threads, and recursively."""
    barrier = threading.Barrier(4)

    def meet(again: Callable[[], Any] | None = None) -> str | None:
        barrier.wait(10)
        return again() if again else user()

    with use_context(ONE):
        wrapped = wrap(meet)
        within = wrap(user)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(wrapped, within) for _ in range(4)]
        assert [each.result() for each in found] == ["one"] * 4
