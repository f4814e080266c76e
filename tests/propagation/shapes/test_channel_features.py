"""gRPC's channel features work with Relevo: retries, waiting, compression, credentials."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from relevo_client import ContextEntry, current_ref, use_context
from relevo_client.testing import RecordedCalls
from support.clients.callers import calling
from support.network.proxy import Proxy
from support.servers.hosting import SERVICE, StoreClients, hosted, recording
from support.servers.relaying import ARITIES
from support.servers.scenes import Scene
from support.servers.shapes import SHAPES, Kind, Shape

each_kind = pytest.mark.parametrize("kind", ["blocking", "asyncio"])
each_arity = pytest.mark.parametrize("arity", ARITIES)

QUICKLY = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 50),
)
RETRIES: dict[str, Any] = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.05s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def shape_of(arity: str) -> Shape:
    """The first shape of an arity on an asyncio server."""
    return next(each for each in SHAPES if (each.server, each.arity) == ("asyncio", arity))


class Failing(Scene):
    """Fails a number of calls with UNAVAILABLE, and then lets them through."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times
        self.refs: list[object] = []

    def fails(self) -> bool:
        """Whether this call fails."""
        self.refs.append(current_ref())
        self._times -= 1
        return self._times >= 0


@each_arity
@each_kind
async def test_retries(clients: StoreClients, entry: ContextEntry, kind: Kind, arity: str) -> None:
    """Each attempt carries the reference once, and its handler has the context."""
    scene, calls = Failing(2), RecordedCalls()
    behaviour = shape_of(arity).make(scene)

    async def once(request: Any, context: Any) -> bytes:
        if scene.fails():
            await context.abort(StatusCode.UNAVAILABLE, "try again")
        answer: bytes = await behaviour(request, context)
        return answer

    async def stream(request: Any, context: Any) -> AsyncIterator[bytes]:
        if scene.fails():
            await context.abort(StatusCode.UNAVAILABLE, "try again")
        async for item in behaviour(request, context):
            yield item

    methods = {"Do": (arity, stream if arity.endswith("stream") else once)}
    interceptors = [
        recording("asyncio", calls),
        clients.interceptor("asyncio", trust_callers=True),
    ]
    options = [("grpc.service_config", json.dumps(RETRIES))]
    async with (
        hosted("asyncio", methods, interceptors=interceptors) as host,
        calling(kind, host.address, options=options) as caller,
    ):
        with use_context(entry):
            call = caller.begin(arity)
        over = await caller.outcome(arity, call)
    assert over.code is StatusCode.OK, over
    assert scene.refs == [entry.ref] * 3
    assert set(scene.seen) == {f"u-1 {entry.ref}"}
    for attempt in calls.all():
        names = [name for name, _ in attempt.metadata if name.startswith("context-")]
        assert names == ["context-key", "context-revision"]


@each_arity
@each_kind
async def test_wait_for_ready(
    clients: StoreClients, entry: ContextEntry, port: int, kind: Kind, arity: str
) -> None:
    """A call that waits for its server is sent with its reference when the server is up."""
    scene, shape = Scene(), shape_of(arity)
    async with calling(kind, f"127.0.0.1:{port}", options=QUICKLY) as caller:
        hasty = await caller.outcome(arity, caller.begin(arity))
        assert hasty.code is StatusCode.UNAVAILABLE
        with use_context(entry):
            call = caller.begin(arity, wait_for_ready=True)
        interceptors = [clients.interceptor("asyncio", trust_callers=True)]
        methods = {"Do": (arity, shape.make(scene))}
        async with hosted("asyncio", methods, interceptors=interceptors, port=port):
            assert (await caller.outcome(arity, call)).code is StatusCode.OK
    assert set(scene.seen) == {f"u-1 {entry.ref}"}


@pytest.mark.parametrize("arity", ["unary_unary", "unary_stream"])
@each_kind
async def test_compression(entry: ContextEntry, kind: Kind, arity: str) -> None:
    """A call is compressed if, and only if, it requests compression."""
    request = b"0" * 100_000
    methods = {"Do": (arity, shape_of(arity).make(Scene()))}
    sent: list[int] = []
    async with hosted("asyncio", methods) as host:
        with Proxy(int(host.address.rpartition(":")[2])) as proxy:
            async with calling(kind, f"127.0.0.1:{proxy.port}") as caller:
                for compression in (None, grpc.Compression.Gzip):
                    before = proxy.to_server.bytes
                    begin = getattr(caller.channel, arity)(f"/{SERVICE}/Do")
                    if kind == "blocking" and not arity.endswith("stream"):
                        begin = begin.future
                    with use_context(entry):
                        call = begin(request, timeout=20, compression=compression)
                    assert (await caller.outcome(arity, call)).code is StatusCode.OK
                    sent.append(proxy.to_server.bytes - before)
    plain, compressed = sent
    assert compressed < 10_000 < len(request) < plain


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A private key, and a self-signed certificate for this host."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return key.read_bytes(), certificate.read_bytes()


class Token(grpc.AuthMetadataPlugin):
    """The credentials of a call."""

    def __call__(self, _: Any, callback: Any) -> None:
        """Pass the token to gRPC."""
        callback((("authorization", "Bearer of the call"),), None)


@pytest.mark.processes  # openssl is missing
@each_arity
@each_kind
async def test_credentials_of_a_call(
    clients: StoreClients, entry: ContextEntry, pair: tuple[bytes, bytes], kind: Kind, arity: str
) -> None:
    """A call's own credentials are sent with it, beside the reference."""
    scene, calls = Scene(), RecordedCalls()
    methods = {"Do": (arity, shape_of(arity).make(scene))}
    interceptors = [
        recording("asyncio", calls),
        clients.interceptor("asyncio", trust_callers=True),
    ]
    server_credentials = grpc.ssl_server_credentials([pair])
    async with (
        hosted(
            "asyncio", methods, interceptors=interceptors, credentials=server_credentials
        ) as host,
        calling(kind, host.address, credentials=grpc.ssl_channel_credentials(pair[1])) as caller,
    ):
        with use_context(entry):
            call = caller.begin(arity, credentials=grpc.metadata_call_credentials(Token()))
        assert (await caller.outcome(arity, call)).code is StatusCode.OK
    assert ("authorization", "Bearer of the call") in calls.only().metadata
    assert calls.only().ref == entry.ref
    assert set(scene.seen) == {f"u-1 {entry.ref}"}


@each_arity
@pytest.mark.parametrize("server", ["blocking", "asyncio"])
@each_kind
async def test_the_deadline_is_the_calls(
    clients: StoreClients, entry: ContextEntry, kind: Kind, server: Kind, arity: str
) -> None:
    """The handler has the caller's remaining timeout; without one, it has none."""
    shape = next(each for each in SHAPES if (each.server, each.arity) == (server, arity))
    scene = Scene()
    interceptors = [clients.interceptor(server, trust_callers=True)]
    methods = {"Do": (arity, shape.make(scene))}
    left: list[float | None] = []
    async with (
        hosted(server, methods, interceptors=interceptors) as host,
        calling(kind, host.address) as caller,
    ):
        for timeout in (20.0, None):
            with use_context(entry):
                call = caller.begin(arity, timeout=timeout)
            assert (await caller.outcome(arity, call)).code is StatusCode.OK
            left.append(scene.context.time_remaining())
    assert 0 < (left[0] or 0) < 21  # the wire rounds up
    assert left[1] is None or left[1] > 1e9
