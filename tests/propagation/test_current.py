"""The current context belongs to one call, task or thread."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from relevo_client import (
    ContextEntry,
    ContextKey,
    ExecutionContext,
    NoContextError,
    context_headers,
    current_context,
    current_entry,
    current_ref,
    require_context,
    require_entry,
    require_ref,
    use_context,
)
from support.entries import entry_of

Stream = AsyncGenerator[str | None, None]

ONE, TWO = entry_of("one"), entry_of("two", revision=2)


def user() -> str | None:
    """The user whose context is current."""
    context = current_context()
    return context.user_id if context else None


def test_nothing_is_current_at_first() -> None:
    """Without `use_context` there is no context, entry or reference."""
    assert current_context() is None
    assert current_entry() is None
    assert current_ref() is None
    with pytest.raises(NoContextError):
        require_context()


def test_a_context_is_current_within_its_block() -> None:
    """Within the block, all functions return the same entry; after it, nothing is current."""
    with use_context(ONE) as context:
        assert context is current_context() is require_context() is ONE.context
        assert current_entry() is ONE
        assert current_ref() == ONE.ref
    assert current_context() is None


def test_a_context_without_a_store() -> None:
    """For a handler's unit test, an ExecutionContext can be current without entry or reference."""
    given = ExecutionContext(user_id="u")
    with use_context(ONE):
        with use_context(given) as context:
            assert context is given is current_context() is require_context()
            assert current_entry() is None
            assert current_ref() is None
            assert context_headers() == {}
        assert current_entry() is ONE
    assert current_context() is None


@pytest.mark.parametrize("wrong", ["conversation:acme:c-1", ContextKey("s", "t", "i"), {}, 0])
def test_what_cannot_be_current(wrong: Any) -> None:
    """Any other value raises TypeError with its type, and changes nothing."""
    with use_context(ONE):
        with pytest.raises(TypeError, match=f"and got {type(wrong).__name__}"), use_context(wrong):
            pass
        assert current_entry() is ONE


def test_what_is_required() -> None:
    """`require_entry` and `require_ref` return what is current, or raise an error that names it."""
    with use_context(ONE):
        assert require_entry() is ONE
        assert require_ref() == ONE.ref
    for require, text in (
        (require_context, "no context is current"),
        (require_entry, "no context is current"),
        (require_ref, "no reference is current"),
    ):
        with pytest.raises(NoContextError, match=text) as caught:
            require()
        assert caught.value.reason == "NO_CONTEXT"
    with use_context(ExecutionContext()):
        with pytest.raises(NoContextError, match="has no entry") as caught:
            require_entry()
        assert caught.value.reason == "CONTEXT_WITHOUT_ENTRY"
        with pytest.raises(NoContextError, match="no reference"):
            require_ref()


def test_blocks_nest() -> None:
    """After an inner block, the outer one's context is current again; None means no context."""
    with use_context(ONE):
        with use_context(TWO):
            assert user() == "two"
            with use_context(None) as nothing:
                assert nothing is None
                assert user() is None
                with use_context(ONE):
                    assert user() == "one"
                assert user() is None
            assert user() == "two"
        assert user() == "one"
        with use_context(ONE):
            assert user() == "one"
        assert user() == "one"
    assert user() is None


def test_a_block_ends_with_an_exception() -> None:
    """However a block ends, the previous context is current again."""
    with use_context(ONE):
        with pytest.raises(RuntimeError), use_context(TWO):
            raise RuntimeError
        assert user() == "one"


async def test_tasks_are_isolated() -> None:
    """A task inherits the context of its creation; its own changes stay within it."""
    inside, outside = asyncio.Event(), asyncio.Event()

    async def work() -> list[str | None]:
        seen = [user()]
        with use_context(TWO):
            inside.set()
            await outside.wait()
            seen.append(user())
        return [*seen, user()]

    with use_context(ONE):
        task = asyncio.create_task(work())
        await inside.wait()
        assert user() == "one"
    assert user() is None
    outside.set()
    assert await task == ["one", "two", "one"]
    assert user() is None


def test_threads_are_isolated() -> None:
    """A thread does not inherit the context of its creator, unless it is copied."""
    seen: list[str | None] = []

    def work() -> None:
        seen.append(user())

    with use_context(ONE):
        copied = contextvars.copy_context()
        for target in (work, lambda: copied.run(work)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [None, "one"]


async def stream() -> Stream:
    """A stream of a service with its own context."""
    with use_context(ONE):
        yield user()
        yield user()


async def nothing() -> Stream:
    """A stream without a context."""
    with use_context(None):
        yield user()


async def begun_in_a_task(items: Stream) -> Stream:
    """The stream after another task took its first item, under its own context."""

    async def begin() -> None:
        with use_context(TWO):
            await anext(items)

    await asyncio.create_task(begin())
    return items


@pytest.mark.parametrize("make", [stream, nothing], ids=["with a context", "without one"])
@pytest.mark.parametrize("mine", [ONE, TWO, None], ids=["one", "two", "none"])
async def test_a_stream_that_is_closed_elsewhere(
    make: Callable[[], Stream], mine: ContextEntry | None
) -> None:
    """A task that closes a stream of another task keeps its own context.

    The other task's context is not restored here, even if the same entry, or none, is current in
    both.
    """
    items = await begun_in_a_task(make())
    with use_context(mine):
        await items.aclose()
        assert current_entry() is mine
    assert current_entry() is None


async def test_a_stream_that_is_dropped() -> None:
    """A dropped stream ends in a task of the loop, and affects no other context."""
    items = await begun_in_a_task(stream())
    with use_context(TWO):
        del items
        await asyncio.sleep(0)
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert user() == "two"
    assert user() is None


def test_a_generator_that_is_closed_in_another_context() -> None:
    """The same holds for plain generators, which any context may close."""

    def items() -> Generator[str | None, None, None]:
        with use_context(ONE):
            yield user()

    for mine in (ONE, TWO, None):
        begun = items()
        assert contextvars.copy_context().run(next, begun) == "one"
        with use_context(mine):
            begun.close()
            assert current_entry() is mine
        assert current_entry() is None


def test_blocks_that_end_in_another_order() -> None:
    """After the end of all blocks nothing is current, even if the outer one ended first."""

    def items() -> Generator[str | None, None, None]:
        with use_context(ONE):
            yield user()

    def work() -> str | None:
        with use_context(TWO):
            begun = items()
            assert next(begun) == "one"
        begun.close()
        return user()

    # In a copied context, so that other tests are not affected.
    assert contextvars.copy_context().run(work) is None


def test_many_blocks_that_end_before_the_inner_one() -> None:
    """However many blocks ended while the innermost went on, its end undoes all of them."""

    def items() -> Generator[str | None, None, None]:
        with use_context(ONE):
            yield user()

    def work() -> str | None:
        with use_context(TWO):
            begun = [items(), items(), items()]
            assert [next(each) for each in begun] == ["one"] * 3
        for each in begun:
            each.close()
        return user()

    assert contextvars.copy_context().run(work) is None
