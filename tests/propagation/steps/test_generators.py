"""`wrap` of generators: every step has the context of the place of their wrapping.

The steps run under another tenant's context, and neither side sees the other's.
"""

import contextvars
from collections.abc import (
    Callable,
    Generator,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from propagation.steps.functions import (
    ENDED,
    ONE,
    THREE,
    TWO,
    each_generator,
    user,
)
from relevo_client import use_context, wrap


@each_generator
def test_a_generator(function: Callable[..., Generator[str, str | None, str]]) -> None:
    """Iterated under another tenant's context, a generator has its own in every step."""
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
    """Sent and thrown values arrive in the generator's context, and its result is returned."""
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
    """Its `finally` has its context, whichever caller closes it, in whichever thread."""
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


@pytest.mark.parametrize("order", ["inner first", "outer first"])
def test_blocks_within_steps(order: str) -> None:
    """A block that a step leaves open is the generator's own: outer blocks end correctly."""

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
