"""If a handler needs a context and has none, its call ends with a typed status."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    NoContextError,
    Policy,
    await_context,
    current_ref,
    filters,
    require_context,
    require_entry,
    require_ref,
)
from support.clients.callers import calling
from support.clients.plays import naming
from support.servers import asking
from support.servers.asking import Ask, Asking, logged, outcome_of
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.shapes import SHAPES, Behaviour, Kind, Shape

NEEDS_ONE = StatusCode.FAILED_PRECONDITION, "the call names no context"
DEFECT = StatusCode.INTERNAL, "the call's context could not be resolved"
ITEMS = 3
SECRET = "what-nobody-is-told"  # noqa: S105 - no password


@pytest.mark.parametrize("after", [0, ITEMS], ids=["at once", "amid its items"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_a_handler_that_needs_one(
    clients: StoreClients, caplog: pytest.LogCaptureFixture, shape: Shape, after: int
) -> None:
    """FAILED_PRECONDITION with the contract's fixed text, after the answers that were sent.

    That is not a crash of the service: nothing is logged.
    """
    caplog.set_level(logging.DEBUG)
    behaviour = Asking(shape, require_context, after=after).behaviour
    over = await outcome_of(shape, behaviour, clients)
    assert (over.code, over.details) == NEEDS_ONE
    assert over.trailing == []
    assert over.items == (["item"] * after if shape.streams else [])
    assert logged(caplog) == []


UNARY = [each for each in SHAPES if each.arity == "unary_unary"]
TASKS = [
    each for each in SHAPES if each.arity == "unary_unary" and each.make.__name__ == "coroutine"
]
each_unary = pytest.mark.parametrize("shape", UNARY, ids=str)


def raise_with_a_text() -> None:
    """Raise an exception like that of a library."""
    raise NoContextError(SECRET)


@pytest.mark.parametrize("ask", [require_entry, require_ref, raise_with_a_text])
@each_unary
async def test_whatever_it_is_that_is_needed(clients: StoreClients, shape: Shape, ask: Ask) -> None:
    """A missing entry or reference ends the call in the same way."""
    over = await outcome_of(shape, Asking(shape, ask, after=0).behaviour, clients)
    assert (over.code, over.details) == NEEDS_ONE


@each_unary
async def test_an_exempt_method(clients: StoreClients, shape: Shape) -> None:
    """An exempt method has no context; if it requires one, its call ends with the same status."""
    behaviour = Asking(shape, require_context, after=0).behaviour
    over = await outcome_of(shape, behaviour, clients, exempt=filters.service(SERVICE))
    assert (over.code, over.details) == NEEDS_ONE


async def test_tasks_of_a_group(clients: StoreClients) -> None:
    """A TaskGroup counts only if all of its failed tasks required a context."""
    (shape,) = TASKS

    async def ask() -> None:
        require_context()

    async def fail() -> None:
        raise ZeroDivisionError

    def grouped(*works: Callable[[], Any]) -> Behaviour:
        async def handler(_: Any, __: Any) -> bytes:
            async with asyncio.TaskGroup() as group:
                for work in works:
                    group.create_task(work())
            return b""

        return handler

    over = await outcome_of(shape, grouped(ask, ask), clients)
    assert (over.code, over.details) == NEEDS_ONE
    over = await outcome_of(shape, grouped(ask, fail), clients)
    assert over.code is StatusCode.UNKNOWN


@each_unary
async def test_a_handler_that_helps_itself(clients: StoreClients, shape: Shape) -> None:
    """A handler may catch the exception and continue, or end the call with its own status."""

    def go_on() -> bool:
        try:
            require_context()
        except NoContextError:
            return True
        return False

    def answer(_: Any, __: Any) -> bytes:
        return str(go_on()).encode()

    def refuse(_: Any, context: Any) -> bytes:
        try:
            require_context()
        except NoContextError:
            context.abort(StatusCode.UNAUTHENTICATED, "sign in first")
        return b""

    async def answer_in_a_task(_: Any, __: Any) -> bytes:
        return str(go_on()).encode()

    async def refuse_in_a_task(_: Any, context: Any) -> bytes:
        try:
            require_context()
        except NoContextError:
            await context.abort(StatusCode.UNAUTHENTICATED, "sign in first")
        return b""

    is_task = shape in TASKS
    over = await outcome_of(shape, answer_in_a_task if is_task else answer, clients)
    assert (over.code, over.items) == (StatusCode.OK, ["True"])
    over = await outcome_of(shape, refuse_in_a_task if is_task else refuse, clients)
    assert (over.code, over.details) == (StatusCode.UNAUTHENTICATED, "sign in first")


@each_unary
async def test_other_exceptions_are_grpcs_to_tell(clients: StoreClients, shape: Shape) -> None:
    """Other exceptions of a handler end its call as they do without Relevo."""

    def fail() -> None:
        raise LookupError("a defect")

    over = await outcome_of(shape, Asking(shape, fail, after=0).behaviour, clients)
    assert over.code is StatusCode.UNKNOWN
    assert "a defect" in over.details


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_a_lazy_policy(clients: StoreClients, kind: Kind) -> None:
    """Under a lazy policy, a call without a reference ends so at the handler's first use."""
    for shape in UNARY:
        if shape.server != kind:
            continue

        async def handler(_: Any, __: Any) -> bytes:
            await await_context()
            require_context()
            return b""

        asking = Asking(shape, require_context, after=0).behaviour
        behaviour = handler if shape in TASKS else asking
        over = await outcome_of(shape, behaviour, clients, policy=Policy(lazy=True))
        assert (over.code, over.details) == NEEDS_ONE


@pytest.mark.parametrize(
    "shape",
    [each for each in SHAPES if each.server == "asyncio" and not each.is_plain_on_asyncio],
    ids=str,
)
async def test_a_handler_that_does_not_await_a_lazy_context(
    clients: StoreClients, caplog: pytest.LogCaptureFixture, entry: Any, shape: Shape
) -> None:
    """Without `await_context()`, use of a lazy context is INTERNAL, and logged with its line.

    That is a defect of the service: the caller did name a context, and gets no error about it.
    """
    behaviour = Asking(shape, require_context, after=0).behaviour
    over = await outcome_of(shape, behaviour, clients, *naming(entry.ref), policy=Policy(lazy=True))
    assert (over.code, over.details) == DEFECT
    (line,) = logged(caplog)
    assert "await_context()" in line
    assert f"({asking.__file__}:" in line


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_a_thread_that_does_not_have_it(
    clients: StoreClients, caplog: pytest.LogCaptureFixture, entry: Any, shape: Shape
) -> None:
    """If the call has a context and a thread of the handler has not, that is its defect, too.

    Without a context, a thread that requires one ends the call as its handler would.
    """

    def ask() -> None:
        with ThreadPoolExecutor() as pool:
            pool.submit(require_context).result()

    behaviour = Asking(shape, ask, after=0).behaviour
    over = await outcome_of(shape, behaviour, clients, *naming(entry.ref))
    assert (over.code, over.details) == DEFECT
    (line,) = logged(caplog)
    assert "threads need `wrap`: NoContextError in" in line
    over = await outcome_of(shape, behaviour, clients)
    assert (over.code, over.details) == NEEDS_ONE
    assert len(logged(caplog)) == 1


async def test_a_call_that_is_over(clients: StoreClients) -> None:
    """A thread that requires a context after its call has ended fails silently."""
    (shape,) = [each for each in UNARY if each.server == "blocking"]
    entered, is_over = threading.Event(), threading.Event()
    seen: list[object] = []

    def handler(_: Any, context: Any) -> bytes:
        context.add_callback(is_over.set)
        entered.set()
        is_over.wait(10)
        seen.append(current_ref())
        require_context()
        return b""

    methods = {"Do": (shape.arity, handler)}
    interceptor = clients.interceptor(shape.server, trust_callers=True)
    async with (
        hosted(shape.server, methods, interceptors=[interceptor]) as host,
        calling("blocking", host.address, interceptors=()) as caller,
    ):
        call = caller.begin(shape.arity, timeout=20)
        await asyncio.to_thread(entered.wait, 10)
        call.cancel()
        over = await caller.outcome(shape.arity, call)
    assert over.code is StatusCode.CANCELLED
    assert seen == [None]
