"""Relevo's and OpenTelemetry's instrumentations work in one process, whichever comes first."""

import asyncio
import inspect
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from relevo_client import ContextEntry, Instrumentation, instrument, use_context
from relevo_client.testing import LocalStore
from support.clients.callers import Caller, calling
from support.servers.hosting import SERVICE, hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import SHAPES, Kind, Shape
from support.telemetry.recorded import Spans
from support.waiting import until_async

otel: Any = pytest.importorskip("opentelemetry.instrumentation.grpc")

SUPPORTED = [
    shape
    for shape in SHAPES
    if shape.server == "blocking" or shape.name in ("coroutine", "async generator")
]
"""The shapes that OpenTelemetry's own instrumentation supports."""

each_order = pytest.mark.parametrize("order", ["first", "second"])
"""When Relevo instruments, relative to OpenTelemetry."""


@contextmanager
def theirs() -> Generator[None, None, None]:
    """OpenTelemetry's instrumentation, as `opentelemetry-instrument` has it."""
    instrumentors = [
        otel.GrpcInstrumentorClient(),
        otel.GrpcInstrumentorServer(),
        otel.GrpcAioInstrumentorClient(),
        otel.GrpcAioInstrumentorServer(),
    ]
    for instrumentor in instrumentors:
        instrumentor.instrument()
    try:
        yield
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


def ours(store: LocalStore) -> Instrumentation:
    """Relevo's instrumentation of gRPC."""
    kinds: Any = {"grpc.client", "grpc.server"}
    return instrument(target=store.address, timeout=10, kinds=kinds, trust_callers=True)


async def call_once(caller: Caller, shape: Shape, entry: ContextEntry) -> None:
    """A call with this entry current, until its end."""
    with use_context(entry):
        call = caller.begin(shape.arity)
        if inspect.isgenerator(call):  # OpenTelemetry's blocking client begins a stream late
            await asyncio.to_thread(list, call)
            return
    await caller.outcome(shape.arity, call)


def spans_of(spans: Spans, kind: str) -> list[Any]:
    """The finished spans of this kind, of the service's method."""
    return [each for each in spans.finished() if each.kind.name == kind and SERVICE in each.name]


@pytest.mark.parametrize("client, order", [("blocking", "first"), ("asyncio", "second")])
@pytest.mark.parametrize("shape", SUPPORTED, ids=str)
async def test_both_do_their_work(
    store: LocalStore, entry: ContextEntry, spans: Spans, shape: Shape, client: Kind, order: str
) -> None:
    """The handler has its context, which is sent once, and the spans are connected."""
    mine = ours(store) if order == "first" else None
    scene = Scene()
    with theirs():
        mine = mine or ours(store)
        try:
            async with (
                hosted(shape.server, {"Do": (shape.arity, shape.make(scene))}) as host,
                calling(client, host.address, interceptors=()) as caller,
            ):
                await call_once(caller, shape, entry)
                await until_async(partial(_both_have_ended, spans))
        finally:
            await mine.aundo()
    assert set(scene.seen) == {f"u-1 {entry.ref}"}
    names = [name for name, _ in scene.context.invocation_metadata()]
    assert [name for name in names if name.startswith("context-")] == [
        "context-key",
        "context-revision",
    ]
    (client_span,), (server_span,) = spans_of(spans, "CLIENT"), spans_of(spans, "SERVER")
    assert server_span.parent.span_id == client_span.context.span_id


async def _both_have_ended(spans: Spans) -> bool:
    return bool(spans_of(spans, "CLIENT") and spans_of(spans, "SERVER"))


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
@each_order
async def test_undone_in_any_order(
    store: LocalStore, entry: ContextEntry, spans: Spans, order: str, kind: Kind
) -> None:
    """Each undoes its own, whichever does so first: contexts and spans end with their own."""
    shape = next(each for each in SUPPORTED if (each.server, each.arity) == (kind, "unary_unary"))

    async def has_context() -> bool:
        scene = Scene()
        async with (
            hosted(kind, {"Do": (shape.arity, shape.make(scene))}) as host,
            calling(kind, host.address, interceptors=()) as caller,
        ):
            await call_once(caller, shape, entry)
        return set(scene.seen) != {NOBODY}

    mine = ours(store) if order == "first" else None
    with theirs():
        mine = mine or ours(store)
        assert await has_context()
        if order == "second":
            await mine.aundo()
            assert not await has_context()
            assert len(spans_of(spans, "SERVER")) == 2
    if order == "first":
        now = time.time_ns()  # spans from before may end later than their calls
        assert await has_context()
        own = [*spans_of(spans, "CLIENT"), *spans_of(spans, "SERVER")]
        assert not [each for each in own if each.start_time > now]
        await mine.aundo()
    assert not await has_context()
