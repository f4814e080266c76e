"""What `instrument` gives contexts to, whatever its name, and what it leaves alone."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc import insecure_channel as blocking_channel
from grpc.aio import insecure_channel as aio_channel
from grpc.aio import server as aio_server
from relevo_client import (
    ContextEntry,
    aio_client_interceptors,
    current_context,
    filters,
    instrument,
    use_context,
)
from relevo_client.testing import LocalStore
from support.clients.callers import AsyncCaller, BlockingCaller, Caller, calling
from support.instrumenting import Instrument, each_kind, methods_of, opened, seen
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.relay import Relay
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import Kind


async def test_names_that_were_imported_before(
    instrumented: Instrument, entry: ContextEntry
) -> None:
    """`from grpc.aio import insecure_channel` before `instrument` makes no difference."""
    instrumented(trust_callers=True)

    async def answer(_: bytes, context: Any) -> bytes:
        del context
        now = current_context()
        return (now.user_id or "").encode() if now else b"nobody"

    server = aio_server()
    handlers: dict[str, Any] = {"Do": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with aio_channel(address) as channel:
        with use_context(entry):
            assert await opened(channel)(b"?") == b"u-1"
    with blocking_channel(address) as blocking, use_context(entry):
        assert await asyncio.to_thread(opened(blocking), b"?") == b"u-1"
    await server.stop(None)


@each_kind
async def test_several_servers_and_channels(
    instrumented: Instrument, entry: ContextEntry, kind: Kind
) -> None:
    """Each server and each channel of a process has its contexts, and they share one client."""
    mine = instrumented(trust_callers=True)
    for _ in range(2):
        scene = Scene()
        async with (
            hosted(kind, methods_of(kind, scene)) as host,
            calling(kind, host.address, interceptors=()) as caller,
        ):
            assert await seen(caller, scene, entry) == f"u-1 {entry.ref}"
    client = mine.client() if kind == "blocking" else mine.aio_client()
    assert client is (mine.client() if kind == "blocking" else mine.aio_client())
    assert client.cache_counts.hits + client.cache_counts.misses == 2


@each_kind
async def test_one_kind_only(instrumented: Instrument, entry: ContextEntry, kind: Kind) -> None:
    """Only the kinds that are named are wired; channels alone need no store."""
    scene = Scene()
    mine = instrumented(kinds={"grpc.client"}, target=None)
    async with (
        hosted(kind, methods_of(kind, scene)) as host,
        calling(kind, host.address, interceptors=()) as caller,
    ):
        assert await seen(caller, scene, entry) == NOBODY
        assert ("context-key", entry.ref.key.text) in scene.context.invocation_metadata()
    await mine.aundo()
    instrumented(kinds={"grpc.server"}, trust_callers=True)
    async with (
        hosted(kind, methods_of(kind, scene)) as host,
        calling(kind, host.address, interceptors=()) as caller,
    ):
        assert await seen(caller, scene, entry) == NOBODY
        assert "context-key" not in dict(scene.context.invocation_metadata())


@each_kind
async def test_callers_are_not_trusted_unless_told(
    instrumented: Instrument, entry: ContextEntry, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """References are ignored if nobody says whether callers are trusted; the log says so once."""
    instrumented()
    scene = Scene()
    async with (
        hosted(kind, methods_of(kind, scene)) as host,
        calling(kind, host.address, interceptors=()) as caller,
    ):
        assert await seen(caller, scene, entry) == NOBODY
        assert await seen(caller, scene, entry) == NOBODY
    warned = [each.message for each in caplog.records if each.name == "relevo_client"]
    assert len(warned) == 1
    assert "RELEVO_TRUST_CALLERS" in warned[0]


@each_kind
async def test_exempt(instrumented: Instrument, entry: ContextEntry, kind: Kind) -> None:
    """Health checks, collectors, and methods that `exempt` names carry nothing and have none."""
    instrumented(trust_callers=True, exempt=["/shop.v1.Admin/*"])
    scene = Scene()
    for service in (
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.channelz.v1.Channelz",
        "opentelemetry.proto.collector.trace.v1.TraceService",
        "shop.v1.Admin",
    ):
        async with (
            hosted(kind, methods_of(kind, scene), name=service) as host,
            calling(kind, host.address, interceptors=()) as caller,
        ):
            assert await seen(caller, scene, entry, service=service) == NOBODY
            assert "context-key" not in dict(scene.context.invocation_metadata())


async def test_the_clients_own_channels(
    instrumented: Instrument, store: LocalStore, entry: ContextEntry
) -> None:
    """Calls of the store carry no context, so no call of the store makes another one."""
    async with Relay(store.address) as relay:
        mine = instrumented(target=relay.address, trust_callers=True)
        with use_context(entry):
            assert (await mine.aio_client().get(entry.key)).context == entry.context
            blocking = await asyncio.to_thread(mine.client().get, entry.key)
            assert blocking.context == entry.context
        assert [call.method.rpartition("/")[2] for call in relay.calls] == ["Get", "Get"]
        assert not any("context-key" in dict(call.metadata) for call in relay.calls)


@each_kind
async def test_the_explicit_way_wins(
    instrumented: Instrument,
    entry: ContextEntry,
    clients: StoreClients,
    kind: Kind,
) -> None:
    """Rules of interceptors and wrapped channels count, and not those of `instrument`."""
    mine = instrumented(trust_callers=False)
    scene = Scene()
    explicit = clients.interceptor(kind, trust_callers=True)
    methods = methods_of(kind, scene, "Do", "Other")
    exempt = filters.method(f"/{SERVICE}/Other")
    async with hosted(kind, methods, interceptors=[explicit]) as host:
        async with calling(kind, host.address, wrapped=True, exempt=exempt) as caller:
            assert await seen(caller, scene, entry) == f"u-1 {entry.ref}"
            assert await seen(caller, scene, entry, method="Other") == NOBODY
        if kind == "asyncio":
            interceptors = aio_client_interceptors(exempt=exempt)
            async with calling(kind, host.address, interceptors=interceptors) as caller:
                assert await seen(caller, scene, entry) == f"u-1 {entry.ref}"
                assert await seen(caller, scene, entry, method="Other") == NOBODY
    client = mine.client() if kind == "blocking" else mine.aio_client()
    assert client.cache_counts.misses == 0


async def test_channels_stay_grpcs_own(instrumented: Instrument) -> None:
    """A channel is an object of gRPC's class, with all of its attributes, as libraries need it."""
    instrumented()
    with grpc.insecure_channel("localhost:1") as blocking:
        assert type(blocking).__module__ == "grpc._channel"
    async with aio.insecure_channel("localhost:1") as channel:
        assert type(channel).__module__ == "grpc.aio._channel"
        assert getattr(channel, "_unary_unary_interceptors") == []  # noqa: B009


@asynccontextmanager
async def channels(address: str) -> AsyncGenerator[Sequence[Caller], None]:
    """A channel of each kind, of classes of a library's own."""
    blocking_class: Any = type(grpc.insecure_channel(address))
    asyncio_class: Any = type(aio.insecure_channel(address))
    own = type("Own", (blocking_class,), {})
    aio_own = type("AioOwn", (asyncio_class,), {})
    blocking = BlockingCaller(own(address, (), None, None))
    asynchronous = AsyncCaller(aio_own(address, (), None, None, None))
    yield blocking, asynchronous
    blocking.close()
    await asynchronous.close()


async def test_subclasses(instrumented: Instrument, entry: ContextEntry) -> None:
    """A channel of a class that is derived from gRPC's carries contexts too."""
    instrumented(trust_callers=True)
    scene = Scene()
    async with (
        hosted("asyncio", methods_of("asyncio", scene)) as host,
        channels(host.address) as callers,
    ):
        for caller in callers:
            assert await seen(caller, scene, entry) == f"u-1 {entry.ref}"


async def test_a_server_before_its_loop(store: LocalStore, entry: ContextEntry) -> None:
    """A server that is made before its event loop runs has its contexts in that loop."""
    mine = instrument(target=store.address, timeout=10, trust_callers=True)
    scene = Scene()
    _, behaviour = methods_of("asyncio", scene)["Do"]
    handlers: dict[str, Any] = {"Do": grpc.unary_unary_rpc_method_handler(behaviour)}

    async def called(server: aio.Server) -> None:
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with use_context(entry):
                await opened(channel)(b"?")
        await server.stop(None)
        await mine.aundo()

    def serve() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            server = aio.server()
            generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
            server.add_generic_rpc_handlers((generic,))
            loop.run_until_complete(called(server))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    try:
        await asyncio.to_thread(serve)
    finally:
        mine.undo()
    assert set(scene.seen) == {f"u-1 {entry.ref}"}
