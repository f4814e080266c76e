"""Channelz: gRPC's view of the server's connections, for operators."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import StatusCode, aio
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, Stub, key, put
from support.failures import failure_of
from support.servers.serving import stub_of

METHODS = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].methods


@pytest.fixture
def store_url() -> str:
    """Channelz knows nothing of the store."""
    return "memory://"


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[aio.Channel]:
    """A channel to a server that lets everyone do everything."""
    async with aio.insecure_channel(server.address) as channel:
        yield channel


def untyped(channel: aio.Channel) -> Any:
    """The same channel, for calls of bytes: its types are those of messages."""
    return channel


def channelz_of(channel: aio.Channel) -> Any:
    """The generated stub."""
    generated: Any = channelz_pb2_grpc
    return generated.ChannelzStub(channel)


async def sockets_of(channelz: Any, address: str) -> list[Any]:
    """The sockets of the process's server at this address, with their figures."""
    answer = await channelz.GetServers(channelz_pb2.GetServersRequest(), timeout=TIMEOUT)
    sockets: list[Any] = []
    for server in answer.server:
        request = channelz_pb2.GetServerSocketsRequest(server_id=server.ref.server_id)
        found = await channelz.GetServerSockets(request, timeout=TIMEOUT)
        for ref in found.socket_ref:
            asked = channelz_pb2.GetSocketRequest(socket_id=ref.socket_id)
            sockets.append((await channelz.GetSocket(asked, timeout=TIMEOUT)).socket)
    port = int(address.rpartition(":")[2])
    return [each for each in sockets if each.local.tcpip_address.port == port]


async def test_connections_and_their_calls(
    server: Server, stub: Stub, channel: aio.Channel
) -> None:
    """Every connection to the server is there, with the number of its calls."""
    for _ in range(7):
        await put(stub, key())
    sockets = await sockets_of(channelz_of(channel), server.address)
    assert len(sockets) == 2  # the stub's and the channel's
    assert 7 in {socket.data.streams_started for socket in sockets}


async def test_what_is_not_there(channel: aio.Channel) -> None:
    """A socket that is not there is NOT_FOUND."""
    request = channelz_pb2.GetSocketRequest(socket_id=1 << 40)
    with pytest.raises(aio.AioRpcError) as caught:
        await channelz_of(channel).GetSocket(request, timeout=TIMEOUT)
    assert caught.value.code() is StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", [each.name for each in METHODS])
async def test_bytes_that_are_no_request(channel: aio.Channel, method: str) -> None:
    """Bytes that do not decode are INVALID_ARGUMENT, as everywhere on the port."""
    call: Any = untyped(channel).unary_unary(f"/grpc.channelz.v1.Channelz/{method}")
    failure = await failure_of(call(b"\x0a\xff", timeout=TIMEOUT))
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


@pytest.mark.parametrize("method", [each.name for each in METHODS])
async def test_only_admins_may_look(settings: Settings, method: str) -> None:
    """With principals, callers need one with the role `admin`: the answers are of all clients."""
    principals = principal("operator", "*", admin=True), principal("service", "*")
    guarded = settings.model_copy(update={"principals": principals})
    async with Server(guarded) as server, aio.insecure_channel(server.address) as channel:
        call: Any = untyped(channel).unary_unary(f"/grpc.channelz.v1.Channelz/{method}")
        for name, codes in (
            ("operator", {StatusCode.OK, StatusCode.NOT_FOUND}),  # of what it asks for
            ("service", {StatusCode.PERMISSION_DENIED}),
            ("nobody", {StatusCode.UNAUTHENTICATED}),
        ):
            assert await call(b"", metadata=bearer(name), timeout=TIMEOUT).code() in codes


async def test_it_can_be_turned_off(settings: Settings) -> None:
    """Without channelz, the port does not have the service."""
    silent = settings.model_copy(update={"channelz": False})
    async with Server(silent) as server, stub_of(server.address) as stub:
        await put(stub, key())
        async with aio.insecure_channel(server.address) as channel:
            call = channelz_of(channel).GetServers(channelz_pb2.GetServersRequest())
            assert await call.code() is StatusCode.UNIMPLEMENTED
