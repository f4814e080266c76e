"""If a user's function fails, the log has the exception's class, file and line, never its text."""

import inspect
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ExecutionContext,
    Fallback,
    LostContext,
    NotFoundError,
    Policy,
    filters,
)
from relevo_client.testing import LocalStore
from support.clients.lost_contexts import NO_REFERENCE, NOT_FOUND, Cause
from support.clients.plays import UNARY_SHAPES, Play, naming, play
from support.servers.hosting import SERVICE, StoreClients
from support.servers.shapes import Shape

SECRET = "what-nobody-is-told"  # noqa: S105 - no password
FAILED = StatusCode.INTERNAL, "the call's context could not be resolved"
each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)


def fail(*_: object) -> Any:
    """A function with a defect."""
    raise ZeroDivisionError(SECRET)


FAILS_AT = f"ZeroDivisionError in fail ({__file__}:{inspect.getsourcelines(fail)[1] + 2})"


def parse(*_: object) -> Any:
    """A function in which a library fails."""
    return json.loads(SECRET)


class Failing:
    """An object with a defect."""

    def __call__(self, *_: object) -> Any:
        """Fail."""
        return fail()


def nothing(*_: object) -> Any:
    """A function without a return statement."""


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The log records at WARNING and above, which must not have a text of the functions."""
    caplog.set_level(logging.DEBUG)

    def loud() -> list[str]:
        assert SECRET not in caplog.text
        return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]

    return loud


async def lost(store: LocalStore, shape: Shape, cause: Cause, **rules: Any) -> Play:
    """A call whose context is unavailable for this cause."""
    async with cause.lose(store) as loss:
        interceptor = loss.clients.interceptor(shape.server, **{"trust_callers": True, **rules})
        return await play(shape, interceptor, naming(loss.ref) if loss.ref else ())


@pytest.mark.parametrize(
    "rules",
    [
        {"trust_callers": fail},
        {"authorize": fail},
        {"policy": Policy(not_found=fail)},
        {"exempt": fail},
        {"policies": [(fail, Policy())]},
    ],
    ids=lambda rules: next(iter(rules)),
)
@each_shape
async def test_every_rule(
    store: LocalStore, log: Callable[[], list[str]], shape: Shape, rules: dict[str, Any]
) -> None:
    """The caller gets a fixed text; the log has the line at which the function raised."""
    over = await lost(store, shape, NOT_FOUND, **rules)
    assert over.refusal == FAILED
    assert log() == [f"fail failed on a call's context: {FAILS_AT}"]


@each_shape
async def test_where_it_was_raised(
    store: LocalStore, log: Callable[[], list[str]], shape: Shape
) -> None:
    """The log has file and line of each frame, from the user's function to the raising one."""
    for function in (parse, partial(parse, 1), Failing()):
        await lost(store, shape, NOT_FOUND, policy=Policy(not_found=function))
    one, two, three = log()
    line = inspect.getsourcelines(parse)[1] + 2
    for text in (one, two):
        way = f"parse failed on a call's context: JSONDecodeError in parse ({__file__}:{line}) > "
        assert text.startswith(way)
        assert "> raw_decode (" in text
    assert three.startswith(
        f"Failing failed on a call's context: ZeroDivisionError in __call__ ({__file__}:"
    )
    assert three.endswith(FAILS_AT.partition(" in ")[2])


@each_shape
async def test_what_is_no_context(
    store: LocalStore, log: Callable[[], list[str]], shape: Shape
) -> None:
    """If a function returns a wrong result, the log has the place of its definition."""
    over = await lost(store, shape, NOT_FOUND, policy=Policy(not_found=nothing))
    assert over.refusal == FAILED
    line = inspect.getsourcelines(nothing)[1]
    place = f"TypeError in nothing ({__file__}:{line})"
    assert log() == [f"nothing failed on a call's context: {place}"]


@each_shape
async def test_a_function_that_takes_too_long_in_itself(
    store: LocalStore, log: Callable[[], list[str]], shape: Shape
) -> None:
    """A function's own TimeoutError is logged, too; the call ends with the cause's status."""

    def give_up(_: LostContext) -> ExecutionContext:
        raise TimeoutError(SECRET)

    over = await lost(store, shape, NOT_FOUND, policy=Policy(not_found=give_up))
    assert over.refusal == NOT_FOUND.refusal
    (text,) = log()
    assert f"TimeoutError in give_up ({__file__}:" in text


@each_shape
async def test_recursion(store: LocalStore, log: Callable[[], list[str]], shape: Shape) -> None:
    """A traceback of a thousand frames is logged in one line of bounded length."""

    def around(lost_context: LostContext) -> ExecutionContext:
        return around(lost_context)

    await lost(store, shape, NO_REFERENCE, policy=Policy(no_reference=around))
    (text,) = log()
    assert text.count("around (") == 5
    assert " > … > " in text


@each_shape
async def test_a_rule_that_fails_concerns_its_methods(
    clients: StoreClients, log: Callable[[], list[str]], shape: Shape
) -> None:
    """Filters are called until one matches: a failing one after that is not called."""
    policies = [(filters.service(SERVICE), Policy(no_reference=Fallback.PROCEED)), (fail, Policy())]
    over = await play(shape, clients.interceptor(shape.server, policies=policies))
    assert over.outcome.code is StatusCode.OK
    assert log() == []


@each_shape
async def test_a_filter_that_has_failed_is_asked_again(clients: StoreClients, shape: Shape) -> None:
    """A filter that fails once refuses that call, and is called again for the next."""
    answers = iter([fail])

    def exempt(method: str) -> bool:
        for answer in answers:
            answer(method)
        return True

    interceptor = clients.interceptor(shape.server, exempt=exempt)
    first = await play(shape, interceptor)
    assert first.outcome.code is StatusCode.INTERNAL
    again = await play(shape, interceptor)
    assert again.outcome.code is StatusCode.OK


async def test_loaders(store: LocalStore, log: Callable[[], list[str]]) -> None:
    """A failing loader is logged with the key of its entry, by clients of both kinds."""
    key = ContextKey("no_such_scope", "acme", "a-1")

    async def load(_: ContextKey) -> Any:
        return fail()

    async with AsyncContextClient(store.address, loaders={key.scope: load}, timeout=10) as client:
        with pytest.raises(NotFoundError):  # as before, and with the cause
            await client.resolve(key)
    with (
        ContextClient(store.address, loaders={key.scope: fail}, timeout=10) as blocking,
        pytest.raises(NotFoundError),
    ):
        blocking.resolve(key)
    one, two = log()
    assert one.startswith(f"{key} was not made: ZeroDivisionError in load ({__file__}:")
    assert one.endswith(FAILS_AT.partition(" in ")[2])
    assert two == f"{key} was not made: {FAILS_AT}"
