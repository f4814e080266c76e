"""The services beside the store: health and reflection."""

import gc
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import TIMEOUT
from support.counted import uncollected
from support.servers.deleted import deleted_servers
from support.servers.serving import health_of, serving

SERVICES = [
    "grpc.channelz.v1.Channelz",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
]
STORE = "relevo.v1.ContextStore"
ADMIN = "relevo.admin.v1.Admin"


@pytest.mark.parametrize("service", ["", "liveness", "readiness", STORE])
async def test_a_server_whose_store_answers_is_serving(server: Server, service: str) -> None:
    """The health of the server and of its service is SERVING."""
    assert await health_of(server.address, service) == "SERVING"


async def test_health_of_what_is_not_there(server: Server) -> None:
    """Health reports NOT_FOUND for a service that the server does not have."""
    with pytest.raises(aio.AioRpcError) as caught:
        await health_of(server.address, "relevo.v1.Nothing")
    assert caught.value.code() is StatusCode.NOT_FOUND


async def test_health_can_be_watched(server: Server) -> None:
    """The health service's Watch reports the state, as load balancers need it."""
    async with aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=STORE), timeout=TIMEOUT)
        first = await watch.read()
        watch.cancel()
    assert first.status == health_pb2.HealthCheckResponse.SERVING


def reflection_of(channel: aio.Channel) -> Any:
    """A stub of reflection, which is typed for blocking channels only."""
    untyped: Any = reflection_pb2_grpc
    return untyped.ServerReflectionStub(channel)


async def reflect(address: str, question: ServerReflectionRequest) -> Any:
    """The answer of reflection to one request."""
    async with aio.insecure_channel(address) as channel:
        call = reflection_of(channel).ServerReflectionInfo(iter([question]))
        answers = [answer async for answer in call]
    return answers[0]


async def test_reflection_lists_the_services(server: Server) -> None:
    """Reflection lists all services of the port."""
    answer = await reflect(server.address, ServerReflectionRequest(list_services=""))
    names = [service.name for service in answer.list_services_response.service]
    assert sorted(names) == sorted([*SERVICES, STORE, ADMIN])


async def test_reflection_describes_the_store(server: Server) -> None:
    """Reflection returns the contract's descriptors, with all methods of the service."""
    answer = await reflect(server.address, ServerReflectionRequest(file_containing_symbol=STORE))
    files = [
        FileDescriptorProto.FromString(each)
        for each in answer.file_descriptor_response.file_descriptor_proto
    ]
    (file,) = (each for each in files if each.name == "relevo/v1/store.proto")
    (service,) = file.service
    assert [method.name for method in service.method] == [
        "Get",
        "BatchGet",
        "Put",
        "Invalidate",
        "Lease",
        "Release",
        "Snapshot",
        "Watch",
    ]


async def test_reflection_can_be_turned_off(settings: Settings) -> None:
    """Without reflection, the port does not describe its services."""
    silent = settings.model_copy(update={"reflection": False})
    async with Server(silent) as server, aio.insecure_channel(server.address) as channel:
        # The test sends nothing: gRPC's asyncio client loses the status of a call that is refused
        # while it still sends.
        refused = reflection_of(channel).ServerReflectionInfo()
        assert await refused.code() is StatusCode.UNIMPLEMENTED


async def test_a_server_can_be_started_after_another(settings: Settings) -> None:
    """A second server in the same process works: the first one leaves no state behind."""
    for _ in range(3):
        async with serving(settings):
            pass


async def test_a_server_that_cannot_start(server: Server, settings: Settings) -> None:
    """It leaves no server of gRPC's that has not been stopped: gRPC would free it wrong."""
    taken = {"listen": server.address}
    no_certificate = {"tls_certificate": Path("none"), "tls_key": Path("none")}
    no_keys = {"reference_keys": Path("none")}
    with uncollected():
        gc.collect()
        with deleted_servers() as deleted:
            for wrong in (taken, no_certificate, no_keys):
                with pytest.raises((OSError, ValueError)):
                    async with Server(settings.model_copy(update=wrong)):
                        pytest.fail("it has started")
            gc.collect()
    assert deleted == []
