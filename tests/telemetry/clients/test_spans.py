"""Spans: store calls are children of the call that needs them, which describes its context."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry import trace
from relevo_client import (
    ContextEntry,
    ContextRef,
    ExecutionContext,
    Fallback,
    NotFoundError,
    Policy,
    aio_client_interceptors,
    client_interceptors,
    require_context,
    use_context,
)
from relevo_client.testing import LocalStore
from support.clients.caching import caching, until_known
from support.clients.either import KEY, KINDS, opened
from support.clients.factories import Factory
from support.clients.plays import naming
from support.servers.hosting import SERVICE, hosted
from support.servers.relay import Relay
from support.servers.shapes import Kind
from support.telemetry.recorded import Spans
from support.waiting import until_async

otel: Any = pytest.importorskip("opentelemetry.instrumentation.grpc")
grpcext: Any = pytest.importorskip("opentelemetry.instrumentation.grpc.grpcext")

MARK = "a value of the context"
OURS = "relevo_client"
METHOD = f"/{SERVICE}/Do"

each_kind = pytest.mark.parametrize("kind", KINDS)


def method_of(channel: Any) -> Any:
    """The services' method, on a channel of either kind."""
    return channel.unary_unary(METHOD)


def behaviour(kind: Kind, onward: str | None) -> Any:
    """A handler that needs its context, and calls the next service, if there is one."""

    def call() -> None:
        if onward:
            channel: Any = grpc.insecure_channel(onward)
            channel = grpcext.intercept_channel(channel, otel.client_interceptor())
            with grpc.intercept_channel(channel, *client_interceptors()) as intercepted:
                method_of(intercepted)(b"", timeout=20)

    async def call_async() -> None:
        if onward:
            interceptors = [*otel.aio_client_interceptors(), *aio_client_interceptors()]
            async with aio.insecure_channel(onward, interceptors=interceptors) as channel:
                await method_of(channel)(b"", timeout=20)

    def do(_: bytes, __: Any) -> bytes:
        assert require_context().user_id == MARK
        call()
        return b""

    async def do_async(_: bytes, __: Any) -> bytes:
        assert require_context().user_id == MARK
        await call_async()
        return b""

    return do if kind == "blocking" else do_async


def server_spans(kind: Kind) -> Any:
    """OpenTelemetry's interceptor, in which the calls of a server have their spans."""
    return otel.server_interceptor() if kind == "blocking" else otel.aio_server_interceptor()


@asynccontextmanager
async def chain(
    kind: Kind, store: LocalStore, services: int, **options: Any
) -> AsyncGenerator[tuple[str, list[Any]], None]:
    """A chain of services; yields the address of the first, and the clients of all."""
    async with AsyncExitStack() as stack:
        address: str | None = None
        clients: list[Any] = []
        for _ in range(services):
            both = await stack.enter_async_context(caching(store.address, **options))
            interceptors = [server_spans(kind), both.interceptor(kind, trust_callers=True)]
            methods = {"Do": ("unary_unary", behaviour(kind, address))}
            host = await stack.enter_async_context(
                hosted(kind, methods, interceptors=interceptors, threads=4)
            )
            address = host.address
            clients.insert(0, both)
        assert address
        yield address, clients


async def call(address: str, entry: ContextEntry) -> Any:
    """Call the first service in a span of its own, and return that."""
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("root") as root, use_context(entry):
        await asyncio.to_thread(behaviour("blocking", address), b"", None)
    return root.get_span_context()


def servers(spans: Spans) -> list[Any]:
    """The spans of the services, in the order in which they began."""
    found = [each for each in spans.finished() if each.kind.name == "SERVER"]
    return sorted(
        (each for each in found if SERVICE in each.name), key=lambda each: each.start_time
    )


def gets(spans: Spans) -> list[Any]:
    """The Gets that clients have sent."""
    return [each for each in spans.finished(OURS) if each.name.endswith("ContextStore/Get")]


@each_kind
async def test_parents(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """Each service's Get is a child of its own call, in one trace from end to end.

    The second time the near caches answer: there are no such spans, and the calls say so.
    """
    ref = store.client.put(KEY, ExecutionContext(user_id=MARK))
    entry = store.client.resolve(ref)
    async with chain(kind, store, 2) as (address, clients):
        spans.clear()
        root = await call(address, entry)
        await until_async(lambda: len(servers(spans)) == 2)
        first, second = servers(spans)
        assert {each.context.trace_id for each in (first, second, *gets(spans))} == {root.trace_id}
        assert {each.parent.span_id for each in gets(spans)} == {
            first.context.span_id,
            second.context.span_id,
        }
        for each in (first, second):
            assert each.attributes["relevo.context.revision"] == ref.revision
            assert each.attributes["relevo.context.source"] == "store"
            assert each.attributes["relevo.context.age"] == 0.0
            assert each.attributes["relevo.context.scope"] == "conversation"
        for each in gets(spans):
            assert each.kind.name == "CLIENT"
            assert each.attributes["rpc.system.name"] == "grpc"
            assert each.attributes["rpc.method"] == "relevo.v1.ContextStore/Get"
            assert each.attributes["rpc.response.status_code"] == "OK"
        for both in clients:
            await until_known(both, ref)
        spans.clear()
        await call(address, entry)
        await until_async(lambda: len(servers(spans)) == 2)
        assert gets(spans) == []
        for each in servers(spans):
            assert each.attributes["relevo.context.source"] == "near_cache"
            assert 0 <= each.attributes["relevo.context.age"] < 10
    exported = "".join(each.to_json() for each in spans.finished())
    assert MARK not in exported
    assert KEY.text not in exported


@each_kind
async def test_keys_are_a_choice(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """No span has a key unless the client has `trace_keys`: then the call's and the Get's have."""
    ref = store.client.put(KEY, ExecutionContext(user_id=MARK))
    for trace_keys in (False, True):
        async with opened(kind, store.address, timeout=10, trace_keys=trace_keys) as client:
            spans.clear()
            await client.ask(lambda client: client.resolve(ref))
        (get,) = gets(spans)
        assert get.attributes.get("relevo.context.key") == (KEY.text if trace_keys else None)
        assert ("c-1" in get.to_json()) == trace_keys


@each_kind
async def test_failures(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """A call of the store that fails has its status, and the reason as the error's type.

    The exception itself is not recorded: its text could quote values.
    """
    async with opened(kind, store.address, timeout=10) as client:
        spans.clear()
        with pytest.raises(NotFoundError):
            await client.ask(lambda client: client.get(KEY))
    (get,) = gets(spans)
    assert get.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert get.attributes["error.type"] == "no_entry"
    assert get.status.status_code.name == "ERROR"
    assert get.events == ()


@each_kind
async def test_creation(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """A factory runs in a span of the caller's trace, with what it and the client ask."""
    tracer = trace.get_tracer("test")
    seen: list[Any] = []

    def make() -> ExecutionContext:
        seen.append(trace.get_current_span().get_span_context())
        return ExecutionContext(user_id=MARK)

    async with opened(kind, store.address, timeout=10) as client:
        spans.clear()
        with tracer.start_as_current_span("caller") as caller:
            await client.ask(lambda client: client.get_or_create(KEY, Factory(make).of(kind)))
    own = {each.name.rpartition("/")[2]: each for each in spans.finished(OURS)}
    assert own.keys() >= {"Lease", "relevo.create", "Put"}
    create = own["relevo.create"]
    assert create.parent.span_id == caller.get_span_context().span_id
    assert own["Lease"].parent.span_id == caller.get_span_context().span_id
    assert own["Put"].parent.span_id == create.context.span_id
    assert [each.span_id for each in seen] == [create.context.span_id]


def marked(_: object) -> ExecutionContext:
    """A policy's function that makes a context."""
    return ExecutionContext(user_id=MARK)


@each_kind
async def test_what_fallbacks_are(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """The call's span says where a context came from if the store could not be asked."""
    ref = store.client.put(KEY, ExecutionContext(user_id=MARK))
    ahead = ContextRef(KEY, ref.revision + (3_600_000 << 20))
    async with caching(store.address) as clients:
        await until_known(clients, ref)
        for way, source in (
            (Fallback.LAST_KNOWN, "last_known"),
            (marked, "fallback"),
        ):
            spans.clear()
            ours = clients.interceptor(kind, trust_callers=True, policy=Policy(too_old=way))
            methods = {"Do": ("unary_unary", behaviour(kind, None))}
            async with hosted(kind, methods, interceptors=[server_spans(kind), ours]) as host:
                with grpc.insecure_channel(host.address) as channel:
                    do = partial(method_of(channel), b"", metadata=naming(ahead), timeout=20)
                    await asyncio.to_thread(do)
            await until_async(lambda: len(servers(spans)) == 1)
            (server,) = servers(spans)
            assert server.attributes["relevo.context.source"] == source
            assert ("relevo.context.age" in server.attributes) == (source == "last_known")


@each_kind
async def test_the_store_learns_the_trace(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """A store call carries the trace context of its own span."""
    store.client.put(KEY, ExecutionContext())
    async with (
        Relay(store.address) as relay,
        opened(kind, relay.address, timeout=10, cache=None) as client,
    ):
        spans.clear()
        await client.ask(lambda client: client.resolve(KEY))
    (get,), (received,) = gets(spans), relay.calls
    expected = f"00-{get.context.trace_id:032x}-{get.context.span_id:016x}-"
    assert str(dict(received.metadata)["traceparent"]).startswith(expected)


@each_kind
async def test_a_trace_that_is_not_sampled(store: LocalStore, spans: Spans, kind: Kind) -> None:
    """A store call tells the store that its caller's trace is not sampled: it begins no other."""
    store.client.put(KEY, ExecutionContext())
    unsampled = trace.SpanContext(trace_id=7, span_id=8, is_remote=True)
    async with (
        Relay(store.address) as relay,
        opened(kind, relay.address, timeout=10, cache=None) as client,
    ):
        spans.clear()
        with trace.use_span(trace.NonRecordingSpan(unsampled)):
            await client.ask(lambda client: client.resolve(KEY))
    (received,) = relay.calls
    version, trace_id, _, flags = str(dict(received.metadata)["traceparent"]).split("-")
    assert (version, int(trace_id, 16), flags) == ("00", 7, "00")
    assert not gets(spans)
