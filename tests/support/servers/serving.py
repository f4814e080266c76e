"""Runs servers in the test's own process, on real ports."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from relevo.v1 import store_pb2_grpc
from relevo_server.server import Server
from relevo_server.service.admin.service import Admin
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.storage import Storage

from support.clients.calls import Stub
from support.clients.strict import StrictChannel


@asynccontextmanager
async def stub_of(address: str) -> AsyncGenerator[Stub, None]:
    """The generated stub, on a channel of its own. Fails if a response is not strict."""
    # A connection of its own: gRPC shares connections between equal channels.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(address, options) as channel:
        strict: Any = StrictChannel(channel)
        stub: Any = store_pb2_grpc.ContextStoreStub(strict)
        yield stub
        for problem in strict.problems:
            raise problem


@asynccontextmanager
async def serving(settings: Settings) -> AsyncGenerator[Stub, None]:
    """Run a server with these settings. Yields its stub."""
    async with Server(settings) as server, stub_of(server.address) as stub:
        yield stub


@asynccontextmanager
async def serving_from(storage: Storage, settings: Settings) -> AsyncGenerator[Stub, None]:
    """Run a server on the test's own backend. Yields its stub."""
    async with serving_service(ContextStore(storage, settings)) as stub:
        yield stub


@asynccontextmanager
async def serving_service(service: ContextStore) -> AsyncGenerator[Stub, None]:
    """Run a server with the test's own service, and close that. Yields its stub."""
    server = aio.server()
    service.add_to(server)
    Admin(service.parts).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with stub_of(f"127.0.0.1:{port}") as stub:
            yield stub
    finally:
        await server.stop(None)
        await service.close()


async def health_of(address: str, service: str = "") -> str:
    """The status of the standard health service: SERVING or NOT_SERVING."""
    async with aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stub has no methods
        response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
