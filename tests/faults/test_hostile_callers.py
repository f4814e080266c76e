"""A stranger, or a caller that does not read, costs a server little memory.

Each of these callers cost a server hundreds of megabytes. The peak of its memory is measured.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

import pytest
from grpc import aio
from relevo.admin.v1 import admin_pb2, admin_pb2_grpc
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo.v1.store_pb2 import BatchGetRequest, GetRequest, PutRequest
from support.clients.access import bearer
from support.clients.calls import TIMEOUT, key
from support.clients.hostile import empty_gets, fill
from support.clients.http2 import Http2, framed
from support.contexts import of_size
from support.servers.peak import Peak
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.serving import health_of
from support.waiting import until, until_async

MOST = 64 << 20
TOKEN = "acme-token"  # noqa: S105
OTHER = "globex-token"
SERVICE = f"/{store_pb2.DESCRIPTOR.services_by_name['ContextStore'].full_name}"
HEALTH = "/grpc.health.v1.Health"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SETTINGS = """
[[principals]]
name = "acme"
token_sha256 = "{acme}"
tenants = ["acme"]

[[principals]]
name = "globex"
token_sha256 = "{globex}"
tenants = ["globex"]
admin = true
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelevoProcess]:
    """A server process with two principals, which keeps its entries in memory."""
    file = tmp_path_factory.mktemp("settings") / "relevo.toml"
    file.write_text(SETTINGS.format(acme=digest(TOKEN), globex=digest(OTHER)))
    with relevo_serve("--config", str(file), "--store", "memory://") as process:
        yield process


def digest(token: str) -> str:
    """The SHA-256 of a token."""
    return sha256(token.encode()).hexdigest()


@pytest.fixture
def port(server: RelevoProcess) -> int:
    """Its port."""
    return int(server.address.rpartition(":")[2])


@pytest.fixture
async def stub(server: RelevoProcess) -> AsyncIterator[Any]:
    """Its stub."""
    options = [("grpc.max_receive_message_length", -1)]
    async with aio.insecure_channel(server.address, options) as channel:
        generated: Any = store_pb2_grpc.ContextStoreStub(channel)
        yield generated


async def test_a_batch_of_large_entries(server: RelevoProcess, stub: Any) -> None:
    """A BatchGet of 3 KB that asks for 425 MB is answered with what fits."""
    gets = await fill(stub, TOKEN, 100, 16, 256 << 10)
    batch = BatchGetRequest(requests=gets)
    peak = Peak(server.process.pid)
    response = await stub.BatchGet(batch, timeout=TIMEOUT, metadata=bearer(TOKEN))
    assert [result.HasField("response") for result in response.results] == [True] + [False] * 99
    peak.require(MOST)


async def waiting(server: RelevoProcess, calls: int) -> bool:
    """Whether so many calls wait in the server."""
    async with aio.insecure_channel(server.address) as channel:
        admin: Any = admin_pb2_grpc.AdminStub(channel)
        request = admin_pb2.GetStatusRequest()
        status = await admin.GetStatus(request, timeout=TIMEOUT, metadata=bearer(OTHER))
    return bool(status.server.active_calls == calls)


@pytest.mark.parametrize("method, calls, made", [("BatchGet", 60, 5), ("Get", 200, 65)])
async def test_answers_that_nobody_reads(
    server: RelevoProcess, stub: Any, port: int, method: str, calls: int, made: int
) -> None:
    """Of the answers of a caller that does not read, 16 MiB are made.

    Another principal's are. Once the caller is gone, what it had asked for is gone, too.
    """
    gets = await fill(stub, TOKEN, 12, 0, 250 << 10)
    message = gets[0] if method == "Get" else BatchGetRequest(requests=gets)
    peak = Peak(server.process.pid)
    with Http2(port) as deaf:
        for _ in range(calls):
            deaf.call(f"{SERVICE}/{method}", message.SerializeToString(), token=TOKEN)
        request = PutRequest(key=key(tenant="globex"), context=of_size(200 << 10))
        await stub.Put(request, timeout=TIMEOUT, metadata=bearer(OTHER))
        other = BatchGetRequest(requests=[GetRequest(key=request.key)] * 10)
        await until_async(lambda: waiting(server, calls - made))
        for _ in range(60):
            response = await stub.BatchGet(other, timeout=TIMEOUT, metadata=bearer(OTHER))
            assert all(result.HasField("response") for result in response.results)
        assert await waiting(server, calls - made)
        peak.require(MOST)
    answer = await stub.BatchGet(
        BatchGetRequest(requests=gets), timeout=TIMEOUT, metadata=bearer(TOKEN)
    )
    assert [each.error.message for each in answer.results if each.HasField("error")] == []


async def test_large_requests_without_a_token(server: RelevoProcess, port: int) -> None:
    """A stranger's request is not received: what comes of it is thrown away."""
    request = framed(empty_gets(2_000_000).SerializeToString())
    peak = Peak(server.process.pid)
    with ExitStack() as stack:
        for _ in range(8):
            stranger = stack.enter_context(Http2(port))
            stream = stranger.call(f"{SERVICE}/BatchGet")
            stranger.push(stream, request)
            stranger.read_until_ended(stream)
            assert stranger.ended[stream] == "16"  # UNAUTHENTICATED
        peak.require(MOST // 2)


@pytest.mark.parametrize("method", ["Get", "BatchGet", "Watch"])
async def test_calls_without_a_request_or_a_token(
    server: RelevoProcess, port: int, method: str
) -> None:
    """Calls of a stranger end as soon as their headers are there."""
    peak = Peak(server.process.pid)
    with Http2(port) as stranger:
        for _ in range(5):
            streams = [stranger.call(f"{SERVICE}/{method}") for _ in range(500)]
            stranger.read_until_ended(*streams)
            assert {stranger.ended[each] for each in streams} == {"16"}
    peak.require(MOST // 4)


async def test_streams_of_a_connection(port: int) -> None:
    """A server says how many streams a connection may have at a time."""
    with Http2(port) as stranger:
        assert stranger.max_streams == 1000


@pytest.mark.parametrize("method", ["Watch", "reflection"])
async def test_many_streams_without_a_token(server: RelevoProcess, port: int, method: str) -> None:
    """A connection has few streams that are open to everyone, and others notice nothing."""
    path = REFLECTION if method == "reflection" else f"{HEALTH}/Watch"
    peak = Peak(server.process.pid)
    with Http2(port) as stranger:
        for _ in range(5):
            for _ in range(800):
                stranger.call(path, b"" if method == "Watch" else None)
            stranger.read(20, until=lambda: stranger.open <= 100)
        assert stranger.open <= 100
        assert set(stranger.ended.values()) <= {"8", "4"}  # RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED
        assert await health_of(server.address) == "SERVING"
    peak.require(MOST // 2)


async def test_health_checks_that_never_come(server: RelevoProcess, port: int) -> None:
    """Checks without a request end, the oldest first, and others are answered."""
    peak = Peak(server.process.pid)
    with Http2(port) as stranger:
        for _ in range(2):
            for _ in range(800):
                stranger.call(f"{HEALTH}/Check")
            assert await health_of(server.address) == "SERVING"

            def few_are_open() -> bool:
                stranger.call(f"{HEALTH}/Check")  # the next call ends older ones
                stranger.read(0.05)
                return stranger.open <= 64

            until(few_are_open, within=20)
    peak.require(MOST // 2)


async def test_streams_that_are_reset_at_once(server: RelevoProcess, port: int) -> None:
    """Streams that a stranger opens and resets leave little behind."""
    peak = Peak(server.process.pid)
    with Http2(port) as stranger:
        for i in range(5_000):
            if stranger.is_closed:
                break
            stranger.reset(stranger.call(f"{SERVICE}/Get"))
            if i % 500 == 0:
                stranger.read(0.01)
    assert await health_of(server.address) == "SERVING"
    peak.require(MOST // 2)


async def test_a_token_that_is_no_text(server: RelevoProcess, port: int) -> None:
    """A token that is not UTF-8 is an unknown one, and no log quotes it."""
    with Http2(port) as stranger:
        stream = stranger.call(f"{SERVICE}/Get", token="s3cret\xff")  # noqa: S106
        stranger.read_until_ended(stream)
        assert stranger.ended[stream] == "16"
    assert not [line for line in server.lines if "s3cret" in line]


@pytest.mark.parametrize(
    "path",
    ["/relevo.v1.ContextStore/G\xff", "/\xff", "relevo", "/relevo.v1.ContextStore/Nothing"],
)
async def test_paths_that_name_no_method(server: RelevoProcess, port: int, path: str) -> None:
    """No path of a call ends the server, whatever its bytes are: the call is UNIMPLEMENTED.

    grpcio's own loop ends at the first one, for everyone and without a token.
    """
    for _ in range(3):
        with Http2(port) as stranger:
            stream = stranger.call(path, b"")
            stranger.read_until_ended(stream)
            assert stranger.ended[stream] == "12"
    assert await health_of(server.address) == "SERVING"
    assert server.process.poll() is None
