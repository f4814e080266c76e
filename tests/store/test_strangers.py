"""Health checks and reflection: requests come in time, and are read as carefully as others."""

import asyncio

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from relevo_server.server import Server
from relevo_server.service import strangers
from support.clients.http2 import Http2

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = "0", "3", "4", "5"


@pytest.fixture
def store_url() -> str:
    """They know nothing of the store."""
    return "memory://"


async def status(server: Server, method: str, message: bytes | None) -> str:
    """The status that a call ends with, without a message if there is none."""

    def call() -> str:
        with Http2(int(server.address.rpartition(":")[2])) as stranger:
            stream = stranger.call(method, message)
            stranger.read_until_ended(stream)
            return stranger.ended[stream]

    return await asyncio.to_thread(call)


@pytest.mark.parametrize("method", [CHECK, WATCH, REFLECTION])
async def test_a_request_that_never_comes(
    server: Server, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A call ends if its request does not come in time."""
    monkeypatch.setattr(strangers, "PATIENCE", 0.05)
    assert await status(server, method, None) == DEADLINE_EXCEEDED


@pytest.mark.parametrize("method", [CHECK, WATCH, REFLECTION])
@pytest.mark.parametrize(
    "message",
    [b"\xff", HealthCheckRequest(service="s" * (17 << 10)).SerializeToString()],
    ids=["no message", "too long"],
)
async def test_a_request_that_is_none(server: Server, method: str, message: bytes) -> None:
    """A request that cannot be read, or is too long, is INVALID_ARGUMENT and never UNKNOWN."""
    assert await status(server, method, message) == INVALID_ARGUMENT


async def test_a_check_is_answered(server: Server) -> None:
    """A check is answered; a service without a name of its own there is NOT_FOUND."""
    assert await status(server, CHECK, b"") == OK
    unknown = HealthCheckRequest(service="nothing").SerializeToString()
    assert await status(server, CHECK, unknown) == NOT_FOUND
