"""Each policy for unavailable contexts does what it promises, within the call's deadline."""

import logging

import pytest
from grpc import StatusCode
from relevo_client import (
    ContextEntry,
    ExecutionContext,
    Fallback,
    LostContext,
    NotFoundError,
    Policy,
    filters,
)
from relevo_client.testing import LocalStore
from support.clients.callers import calling
from support.clients.lost_contexts import CAUSES, INCOMPLETE, NO_REFERENCE, NOT_FOUND, Cause
from support.clients.plays import UNARY_SHAPES, Play, naming, play
from support.servers.hosting import SERVICE, Methods, StoreClients, hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import Shape

each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)
each_cause = pytest.mark.parametrize("cause", CAUSES, ids=str)


async def lost(store: LocalStore, shape: Shape, cause: Cause, policy: Policy) -> Play:
    """A call under this policy, whose context is unavailable for this cause."""
    async with cause.lose(store) as loss:
        interceptor = loss.clients.interceptor(shape.server, trust_callers=True, policy=policy)
        metadata = naming(loss.ref) if loss.ref else ()
        return await play(shape, interceptor, metadata, timeout=cause.budget)


@each_cause
@each_shape
async def test_reject(
    store: LocalStore, shape: Shape, cause: Cause, caplog: pytest.LogCaptureFixture
) -> None:
    """The call ends with the cause's status and fixed text, and nothing is logged.

    A missing layer is logged in one line that names it, as its owner must put it.
    """
    caplog.set_level(logging.DEBUG)
    over = await lost(store, shape, cause, cause.handled(Fallback.REJECT))
    assert over.refusal == cause.refusal
    assert over.outcome.trailing == []
    loud = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert ["is incomplete" in text for text in loud] == ([True] if cause is INCOMPLETE else [])


@each_cause
@each_shape
async def test_proceed(store: LocalStore, shape: Shape, cause: Cause) -> None:
    """The handler runs without a context."""
    over = await lost(store, shape, cause, cause.handled(Fallback.PROCEED))
    assert over.outcome.code is StatusCode.OK
    assert {each.partition(" ")[0] for each in over.seen} == {"nobody"}


@each_cause
@each_shape
async def test_rebuild(store: LocalStore, shape: Shape, cause: Cause) -> None:
    """The handler has the function's context; its own calls carry the original reference."""
    asked: list[LostContext] = []

    def make(lost_context: LostContext) -> ExecutionContext:
        asked.append(lost_context)
        return ExecutionContext(user_id="rebuilt")

    over = await lost(store, shape, cause, cause.handled(make))
    assert over.outcome.code is StatusCode.OK
    (one,) = asked
    expected = f"rebuilt {one.ref}" if one.ref else "rebuilt without a reference"
    assert set(over.seen) == {expected}
    assert (one.ref is None) == (cause is NO_REFERENCE)


@each_shape
async def test_what_a_function_is_told(store: LocalStore, shape: Shape) -> None:
    """The function gets the method, the reference, the call's metadata and the cause."""
    asked: list[LostContext] = []

    def make(lost_context: LostContext) -> ExecutionContext:
        asked.append(lost_context)
        return ExecutionContext()

    async with NOT_FOUND.lose(store) as loss:
        assert loss.ref
        interceptor = loss.clients.interceptor(
            shape.server, trust_callers=True, policy=Policy(not_found=make)
        )
        await play(shape, interceptor, [*naming(loss.ref), ("x-session", "s-1")])
    (one,) = asked
    assert (one.method, one.ref) == (f"/{SERVICE}/Do", loss.ref)
    assert ("x-session", "s-1") in one.metadata
    assert isinstance(one.error, NotFoundError)


@pytest.mark.parametrize(
    "shape", [each for each in UNARY_SHAPES if each.server == "asyncio"], ids=str
)
async def test_coroutine_functions(store: LocalStore, shape: Shape) -> None:
    """On an asyncio server, the function may be a coroutine function."""

    async def make(_: LostContext) -> ExecutionContext:
        return ExecutionContext(user_id="rebuilt")

    over = await lost(store, shape, NO_REFERENCE, Policy(no_reference=make))
    assert set(over.seen) == {"rebuilt without a reference"}


@each_cause
@each_shape
async def test_the_default(store: LocalStore, shape: Shape, cause: Cause) -> None:
    """By default, a call without a reference has no context, and an unavailable one is rejected."""
    over = await lost(store, shape, cause, Policy())
    if cause is NO_REFERENCE:
        assert over.outcome.code is StatusCode.OK
        assert set(over.seen) == {NOBODY}
    else:
        assert over.refusal == cause.refusal


@each_shape
async def test_the_first_filter_that_applies_counts(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """The first policy whose filter matches the method applies, else the default."""

    def makes(name: str) -> Policy:
        return Policy(no_reference=lambda _: ExecutionContext(user_id=name))

    do = filters.method(f"/{SERVICE}/Do")
    interceptor = clients.interceptor(
        shape.server,
        trust_callers=True,
        policy=makes("default"),
        policies=[
            (filters.all_of(filters.service(SERVICE), filters.not_(do)), makes("others")),
            (filters.any_of(do, filters.method(f"/{SERVICE}/First")), makes("do")),
            (filters.service(SERVICE), makes("too late")),
            (filters.method(f"/{SERVICE}/First"), makes("too late")),
        ],
    )
    scene = Scene()
    methods: Methods = dict.fromkeys(("Do", "First", "Second"), (shape.arity, shape.make(scene)))
    expected = {"Do": "do", "First": "others", "Second": "others"}
    async with (
        hosted(shape.server, methods, interceptors=[interceptor]) as host,
        calling("blocking", host.address, interceptors=()) as caller,
    ):
        for method, name in expected.items():
            over = await caller.outcome(shape.arity, caller.begin(shape.arity, method))
            assert over.items == [f"{name} without a reference"]
        call = caller.begin(shape.arity, metadata=naming(entry.ref))
        assert (await caller.outcome(shape.arity, call)).items == [f"u-1 {entry.ref}"]


@each_shape
async def test_the_default_policy_is_for_all_others(clients: StoreClients, shape: Shape) -> None:
    """A method that no filter matches has the default policy."""
    interceptor = clients.interceptor(
        shape.server,
        policy=Policy(no_reference=Fallback.REJECT),
        policies=[(filters.method(f"/{SERVICE}/Other"), Policy())],
    )
    assert (await play(shape, interceptor)).refusal == NO_REFERENCE.refusal
