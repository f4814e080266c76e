"""Relevo's and OpenTelemetry's interceptors work together, in either order."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    aio_client_interceptors,
    client_interceptors,
    current_ref,
    use_context,
)
from relevo_client.testing import LocalStore, RecordedCalls
from support.clients.caching import counts_of
from support.clients.callers import BlockingCaller, Caller, calling
from support.clients.plays import CODES, is_grpcs_own, played
from support.servers.hosting import SERVICE, StoreClients, hosted, recording
from support.servers.scenes import ITEMS, Ending, Scene
from support.servers.shapes import SHAPES, Kind, Shape
from support.telemetry.recorded import Spans
from support.waiting import until_async

otel: Any = pytest.importorskip("opentelemetry.instrumentation.grpc")
grpcext: Any = pytest.importorskip("opentelemetry.instrumentation.grpc.grpcext")

# OpenTelemetry awaits the result of an asyncio server's handler, and iterates its streams: it
# supports neither plain functions there, nor handlers that write.
SUPPORTED = [
    shape
    for shape in SHAPES
    if shape.server == "blocking" or shape.name in ("coroutine", "async generator")
]
ENDINGS = Ending.SET_CODE, Ending.ABORT, Ending.EXCEPTION, Ending.CANCEL, Ending.DEADLINE

each_shape = pytest.mark.parametrize("shape", SUPPORTED, ids=str)
each_client = pytest.mark.parametrize("client", ["blocking", "asyncio"])
each_order = pytest.mark.parametrize("order", ["inside", "outside"])
"""The position of Relevo's interceptors, relative to OpenTelemetry's."""


def of_kind(spans: Spans, kind: str) -> list[Any]:
    """The finished spans of this kind, of the service's method."""
    return [each for each in spans.finished() if each.kind.name == kind and SERVICE in each.name]


async def are_there(spans: Spans) -> bool:
    """Whether both sides have ended their spans."""
    return bool(of_kind(spans, "CLIENT") and of_kind(spans, "SERVER"))


def server_interceptors(kind: Kind, order: str, relevo: Any, spans: Spans) -> list[Any]:
    """Both interceptors of a server; the first one is the outer one."""
    make = otel.server_interceptor if kind == "blocking" else otel.aio_server_interceptor
    theirs = make(tracer_provider=spans.provider)
    return [theirs, relevo] if order == "inside" else [relevo, theirs]


@asynccontextmanager
async def calling_with_both(
    kind: Kind, address: str, order: str, spans: Spans
) -> AsyncGenerator[Caller, None]:
    """A client with both interceptors."""
    if kind == "asyncio":
        theirs = otel.aio_client_interceptors(tracer_provider=spans.provider)
        ours = list(aio_client_interceptors())
        interceptors = theirs + ours if order == "inside" else ours + theirs
        async with calling(kind, address, interceptors=interceptors) as async_caller:
            yield async_caller
        return
    theirs = otel.client_interceptor(tracer_provider=spans.provider)
    channel: Any = grpc.insecure_channel(address)
    if order == "inside":
        channel = grpcext.intercept_channel(
            grpc.intercept_channel(channel, *client_interceptors()), theirs
        )
    else:
        channel = grpc.intercept_channel(
            grpcext.intercept_channel(channel, theirs), *client_interceptors()
        )
    caller = BlockingCaller(channel)
    try:
        yield caller
    finally:
        caller.close()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The logged records at WARNING and above."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


async def result_of(caller: Caller, arity: str, call: Any) -> tuple[list[str], StatusCode]:
    """The items of a call, and its status."""
    if not inspect.isgenerator(call):
        over = await caller.outcome(arity, call)
        return over.items, over.code
    # OpenTelemetry's blocking client returns no call object for such a stream.
    items: list[str] = []

    def take_all(stream: Any) -> StatusCode:
        try:
            items.extend(each.decode() for each in stream)
        except grpc.RpcError as error:
            status: Any = error
            code: StatusCode = status.code()
            return code
        return StatusCode.OK

    return items, await asyncio.to_thread(take_all, call)


@each_order
@each_client
@each_shape
async def test_both_do_their_work(
    clients: StoreClients,
    entry: ContextEntry,
    spans: Spans,
    caplog: pytest.LogCaptureFixture,
    shape: Shape,
    client: Kind,
    order: str,
) -> None:
    """The handler has its context, the reference is sent once, and the spans are connected."""
    scene, calls = Scene(), RecordedCalls()
    relevo = clients.interceptor(shape.server, trust_callers=True)
    interceptors = server_interceptors(shape.server, order, relevo, spans)
    async with (
        hosted(
            shape.server,
            {"Do": (shape.arity, shape.make(scene))},
            interceptors=[recording(shape.server, calls), *interceptors],
        ) as host,
        calling_with_both(client, host.address, order, spans) as caller,
    ):
        # OpenTelemetry's blocking client begins a stream only when its first item is requested.
        with use_context(entry):
            call = caller.begin(shape.arity)
            items, code = await result_of(caller, shape.arity, call)
            assert current_ref() == entry.ref
        assert code is StatusCode.OK
        seen = f"u-1 {entry.ref}"
        assert items == [seen] * (ITEMS if shape.streams else 1)
        assert set(scene.seen) == {seen}
        names = [name for name, _ in calls.only().metadata if name.startswith("context-")]
        assert names == ["context-key", "context-revision"]
        await until_async(partial(are_there, spans))
    (client_span,), (server_span,) = of_kind(spans, "CLIENT"), of_kind(spans, "SERVER")
    assert server_span.parent.span_id == client_span.context.span_id
    assert server_span.name.strip("/") == client_span.name.strip("/") == f"{SERVICE}/Do"
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    "shape, ending",
    [
        pytest.param(shape, ending, id=f"{shape}-{ending.value}")
        for shape in SUPPORTED
        for ending in ENDINGS
        # OpenTelemetry's asyncio client does not pass on the cancellation of a call with one
        # answer.
        if shape.streams or ending is not Ending.CANCEL
    ],
)
@each_order
async def test_endings(
    clients: StoreClients,
    entry: ContextEntry,
    spans: Spans,
    caplog: pytest.LogCaptureFixture,
    shape: Shape,
    order: str,
    ending: Ending,
) -> None:
    """Each ending of a call is unchanged by both, and the handler had its context.

    OpenTelemetry's own log records about early ends are ignored.
    """
    scene = Scene(ending)
    relevo = clients.interceptor(shape.server, trust_callers=True)
    async with (
        hosted(
            shape.server,
            {"Do": (shape.arity, shape.make(scene))},
            interceptors=server_interceptors(shape.server, order, relevo, spans),
        ) as host,
        calling_with_both("asyncio", host.address, order, spans) as caller,
    ):
        outcome = await played(scene, shape, host, caller, entry)
        await until_async(partial(are_there, spans))
    assert outcome.code is CODES[ending]
    if outcome.code is StatusCode.NOT_FOUND:
        assert outcome.details == "no such document"
    assert set(scene.seen) == {f"u-1 {entry.ref}"}
    told = [each for each in caplog.records if each.levelno >= logging.WARNING]
    others = {each.name.partition(".")[0] for each in told if not is_grpcs_own(each, ending)}
    assert others <= {"opentelemetry", *(["grpc"] if ending is Ending.EXCEPTION else [])}


@pytest.fixture
def instrumented(spans: Spans) -> Iterator[Spans]:
    """gRPC, instrumented in the way of `opentelemetry-instrument`."""
    instrumentors = [
        otel.GrpcInstrumentorClient(),
        otel.GrpcInstrumentorServer(),
        otel.GrpcAioInstrumentorClient(),
        otel.GrpcAioInstrumentorServer(),
    ]
    for instrumentor in instrumentors:
        instrumentor.instrument()
    yield spans
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


@each_client
@each_shape
async def test_instrumentation(
    store: LocalStore,
    entry: ContextEntry,
    instrumented: Spans,
    caplog: pytest.LogCaptureFixture,
    shape: Shape,
    client: Kind,
) -> None:
    """The same holds if OpenTelemetry instruments every channel and server automatically.

    The channel to the store is one of them.
    """
    scene = Scene()
    async with AsyncContextClient(store.address, timeout=10) as async_client:
        with ContextClient(store.address, timeout=10) as blocking_client:
            clients = StoreClients(blocking_client, async_client)
            async with (
                hosted(
                    shape.server,
                    {"Do": (shape.arity, shape.make(scene))},
                    interceptors=[clients.interceptor(shape.server, trust_callers=True)],
                ) as host,
                calling(client, host.address) as caller,
            ):
                with use_context(entry):
                    call = caller.begin(shape.arity)
                    items, code = await result_of(caller, shape.arity, call)
                await until_async(partial(are_there, instrumented))
                counts = counts_of(clients, shape.server)
    assert code is StatusCode.OK
    seen = f"u-1 {entry.ref}"
    assert items == [seen] * (ITEMS if shape.streams else 1)
    assert set(scene.seen) == {seen}
    # The stream of the cache may have been faster than the second look on a blocking server.
    assert counts.hits + counts.misses == 1
    gets = [
        span
        for span in instrumented.finished("opentelemetry.instrumentation.grpc")
        if "relevo.v1.ContextStore/Get" in span.name
    ]
    assert len(gets) == counts.misses
    (client_span,) = of_kind(instrumented, "CLIENT")
    (server_span,) = of_kind(instrumented, "SERVER")
    assert server_span.parent.span_id == client_span.context.span_id
    assert warnings_of(caplog) == []
