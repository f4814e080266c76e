"""Trust: which callers may name a context, malformed references, and exempt methods."""

import logging
from collections.abc import Generator
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import ContextEntry, ContextRef, Fallback, Policy, filters, use_context
from support.clients.callers import calling
from support.clients.plays import UNARY_SHAPES, Metadata, naming, play
from support.entries import entry_of
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import SHAPES, Kind, Shape

each_unary_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)

MALFORMED = StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed"
FORBIDDEN = StatusCode.PERMISSION_DENIED, "the caller may not use this context"
FAILED = StatusCode.INTERNAL, "the call's context could not be resolved"

INTERNALS = "internals: 10.0.0.7"


@each_shape
async def test_callers_are_not_trusted_unless_told_so(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """By default, an incoming reference is ignored: the call has no context."""
    interceptor = clients.interceptor(shape.server)
    for metadata in (naming(entry.ref), (("context-key", "malformed"),)):
        over = await play(shape, interceptor, metadata)
        assert over.outcome.code is StatusCode.OK
        assert set(over.seen) == {NOBODY}


@each_unary_shape
async def test_an_ignored_reference_is_none(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """An ignored reference does not satisfy a policy that requires one."""
    interceptor = clients.interceptor(shape.server, policy=Policy(no_reference=Fallback.REJECT))
    over = await play(shape, interceptor, naming(entry.ref))
    assert over.refusal == (StatusCode.FAILED_PRECONDITION, "the call names no context")


@each_shape
async def test_trust_by_caller(clients: StoreClients, entry: ContextEntry, shape: Shape) -> None:
    """A function of gRPC's servicer context decides which callers are trusted."""

    def inside(context: Any) -> bool:
        assert "127.0.0.1" in context.peer()
        return ("x-inside", "yes") in [
            (name, value) for name, value in context.invocation_metadata()
        ]

    interceptor = clients.interceptor(shape.server, trust_callers=inside)
    over = await play(shape, interceptor, [*naming(entry.ref), ("x-inside", "yes")])
    assert set(over.seen) == {f"u-1 {entry.ref}"}
    over = await play(shape, interceptor, [*naming(entry.ref), ("x-inside", "no")])
    assert set(over.seen) == {NOBODY}


@each_shape
async def test_authorize(clients: StoreClients, entry: ContextEntry, shape: Shape) -> None:
    """A reference that the caller may not use ends the call before its handler."""
    asked: list[ContextRef] = []

    def authorize(ref: ContextRef, context: Any) -> bool:
        asked.append(ref)
        return ("x-tenant", ref.key.tenant_id) in [
            (name, value) for name, value in context.invocation_metadata()
        ]

    interceptor = clients.interceptor(shape.server, trust_callers=True, authorize=authorize)
    over = await play(shape, interceptor, [*naming(entry.ref), ("x-tenant", "acme")])
    assert set(over.seen) == {f"u-1 {entry.ref}"}
    over = await play(shape, interceptor, [*naming(entry.ref), ("x-tenant", "other")])
    assert over.refusal == FORBIDDEN
    assert asked == [entry.ref] * 2
    # Without a reference, the function is not called.
    over = await play(shape, interceptor)
    assert set(over.seen) == {NOBODY}
    assert len(asked) == 2


@pytest.mark.parametrize("rule", ["trust_callers", "authorize"])
@each_shape
async def test_a_rule_that_raises(
    clients: StoreClients,
    entry: ContextEntry,
    shape: Shape,
    rule: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the function raises, the caller gets a fixed text; the log has the class, not the text."""
    caplog.set_level(logging.INFO)

    def fail(*_: Any) -> bool:
        raise ZeroDivisionError(INTERNALS)

    interceptor = clients.interceptor(shape.server, **{"trust_callers": True, rule: fail})
    over = await play(shape, interceptor, naming(entry.ref))
    assert over.refusal == FAILED
    loud = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.name for each in loud] == ["relevo_client"]
    assert "ZeroDivisionError" in loud[0].getMessage()
    assert INTERNALS not in caplog.text


@pytest.mark.parametrize("rule", ["trust_callers", "authorize"])
@each_unary_shape
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_rule_that_is_a_coroutine_function(
    clients: StoreClients, entry: ContextEntry, shape: Shape, rule: str
) -> None:
    """A coroutine function as a rule never allows a call: it is refused, or the call is."""

    async def deny(*_: Any) -> bool:
        return False

    rules: dict[str, Any] = {"trust_callers": True, rule: deny}
    try:
        interceptor = clients.interceptor(shape.server, **rules)
    except TypeError:
        return
    over = await play(shape, interceptor, naming(entry.ref))
    assert f"u-1 {entry.ref}" not in over.seen


class Later:
    """An answer that is to be awaited, and true for whoever does not."""

    def __await__(self) -> Generator[None, None, bool]:
        """It is no."""
        yield
        return False


@pytest.mark.parametrize("rule", ["trust_callers", "authorize"])
@each_unary_shape
async def test_a_rule_whose_answer_is_to_be_awaited(
    clients: StoreClients, entry: ContextEntry, shape: Shape, rule: str
) -> None:
    """A plain function that returns what is to be awaited never says yes: the call is refused."""

    def answer_later(*_: Any) -> Any:
        return Later()

    rules: dict[str, Any] = {"trust_callers": True, rule: answer_later}
    over = await play(shape, clients.interceptor(shape.server, **rules), naming(entry.ref))
    assert over.refusal == FAILED
    assert f"u-1 {entry.ref}" not in over.seen


@pytest.mark.parametrize(
    "metadata",
    [
        (("context-key", ""),),
        (("context-key", "acme"),),
        (("context-key", "a:b:%ff"),),
        (("context-key", "x" * 4000),),
        (("context-key", "a:b:c"), ("context-key", "a:b:d")),
        (("context-key", "a:b:c"), ("context-revision", "1"), ("context-revision", "2")),
        (("context-key", "a:b:c"), ("context-revision", "-1")),
        (("context-key", "a:b:c"), ("context-revision", str(1 << 63))),
    ],
    ids=lambda value: ascii(value)[:60],
)
@each_shape
async def test_malformed_and_double_references(
    clients: StoreClients, shape: Shape, metadata: Metadata
) -> None:
    """A malformed reference, or two different ones, is INVALID_ARGUMENT in every shape."""
    over = await play(shape, clients.interceptor(shape.server, trust_callers=True), metadata)
    assert over.refusal == MALFORMED


@each_shape
async def test_the_same_reference_twice(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """Two equal references count as one."""
    interceptor = clients.interceptor(shape.server, trust_callers=True)
    over = await play(shape, interceptor, [*naming(entry.ref), *naming(entry.ref)])
    assert set(over.seen) == {f"u-1 {entry.ref}"}


@each_shape
async def test_exempt_methods(clients: StoreClients, entry: ContextEntry, shape: Shape) -> None:
    """An exempt method has no context, no policy and no refusal."""
    interceptor = clients.interceptor(
        shape.server,
        trust_callers=True,
        policy=Policy(no_reference=Fallback.REJECT),
        exempt=filters.service(SERVICE),
    )
    for metadata in ((), naming(entry.ref), (("context-key", "malformed"),)):
        over = await play(shape, interceptor, metadata)
        assert over.outcome.code is StatusCode.OK
        assert set(over.seen) == {NOBODY}


@pytest.mark.parametrize(
    "name",
    [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.channelz.v1.Channelz",
        "relevo.v1.ContextStore",
    ],
)
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_infrastructure_is_exempt(clients: StoreClients, kind: Kind, name: str) -> None:
    """By default, health checks, reflection, channelz and the store are exempt, on both sides."""
    carried: list[list[str]] = []

    def handler(request: bytes, context: Any) -> bytes:
        carried.append([name for name, _ in context.invocation_metadata() if "context-" in name])
        return request

    interceptor = clients.interceptor(
        kind, trust_callers=True, policy=Policy(no_reference=Fallback.REJECT)
    )
    methods = {"Do": ("unary_unary", handler)}
    async with (
        hosted(kind, methods, interceptors=[interceptor], name=name) as host,
        calling(kind, host.address) as caller,
    ):
        with use_context(entry_of("u")):
            call = caller.begin("unary_unary", service=name)
        over = await caller.outcome("unary_unary", call)
    assert over.code is StatusCode.OK
    assert carried == [[]]


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_an_unknown_method(clients: StoreClients, entry: ContextEntry, kind: Kind) -> None:
    """An unknown method is UNIMPLEMENTED, with any reference."""
    interceptor = clients.interceptor(kind, trust_callers=True)
    async with (
        hosted(kind, {}, interceptors=[interceptor]) as host,
        calling(kind, host.address, interceptors=()) as caller,
    ):
        for metadata in ((), naming(entry.ref), (("context-key", "malformed"),)):
            call = caller.begin("unary_unary", metadata=metadata)
            over = await caller.outcome("unary_unary", call)
            assert over.code is StatusCode.UNIMPLEMENTED


@each_shape
async def test_the_servicer_context_is_grpcs_own(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """The handler gets gRPC's own servicer context."""
    authorized: list[Any] = []

    def authorize(_: ContextRef, context: Any) -> bool:
        authorized.append(context)
        return True

    interceptor = clients.interceptor(shape.server, trust_callers=True, authorize=authorize)
    bare, scene = Scene(), Scene()
    await play(shape, None, scene=bare)
    await play(shape, interceptor, naming(entry.ref), scene=scene)
    assert [scene.context] == authorized
    assert type(scene.context) is type(bare.context)
